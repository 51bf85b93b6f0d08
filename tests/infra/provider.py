"""
A stand-in for Terraform's AWS provider, so that Terraform itself runs here without its registry and without AWS.

It has the names and types of the real one, of version 6.25.0 (aws_schema.json: the resources that the module uses, with
the blocks that it uses; `terraform providers schema -json` has more in the same form), and speaks plugin protocol 5.
Planning leaves unknown what AWS decides; applying makes up the ARNs and URLs that moto gives to things of these names.
Nothing is created: tests do that from the state.
"""

import json
import os
import re
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import msgspec

from tests.infra.wire import decode, encode, mapping, repeated

ACCOUNT = "123456789012"  # moto's
REGION = "eu-west-1"
ADDRESS = "hashicorp/aws"
SCHEMA = json.loads(Path(__file__).with_name("aws_schema.json").read_text())

_UNKNOWN = msgspec.msgpack.Ext(0, b"\0")
_NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
_FACTS = {"account_id": ACCOUNT, "partition": "aws", "dns_suffix": "amazonaws.com", "region": REGION}
_ARNS = {
    "aws_s3_bucket": "arn:aws:s3:::{bucket}",
    "aws_sqs_queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{name}}",
    "aws_sns_topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{{name}}",
    "aws_kms_key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000",
    "aws_iam_role": f"arn:aws:iam::{ACCOUNT}:role/{{name}}",
}
_NAMES = ("name", "bucket", "function_name", "family", "alarm_name")


class Provider:
    """
    Serves on loopback until closed.

    Args:
        endpoint: URL that queue URLs begin with.
    """

    def __init__(self, endpoint: str = f"https://sqs.{REGION}.amazonaws.com") -> None:
        self._endpoint = endpoint
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        calls = {
            "GetSchema": self._schema,
            "PrepareProviderConfig": lambda request: encode((1, request[1])),
            "ValidateResourceTypeConfig": lambda _: b"",
            "ValidateDataSourceConfig": lambda _: b"",
            "UpgradeResourceState": lambda request: encode((1, encode((2, decode(request[3])[1])))),
            "Configure": lambda _: b"",
            "ReadResource": lambda request: encode((1, request[2])),
            "PlanResourceChange": self._plan,
            "ApplyResourceChange": self._apply,
            "ReadDataSource": self._read,
            "Stop": lambda _: b"",
        }
        handlers = {name: _handler(call) for name, call in calls.items()}
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("tfplugin5.Provider", handlers)])
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def close(self) -> None:
        self._server.stop(None)

    @property
    def environment(self) -> dict[str, str]:
        """What tells Terraform to use this provider instead of installing one."""
        address = {"Network": "tcp", "String": f"127.0.0.1:{self._port}"}
        attach = {"Protocol": "grpc", "ProtocolVersion": 5, "Pid": os.getpid(), "Test": True, "Addr": address}
        return {"TF_REATTACH_PROVIDERS": json.dumps({ADDRESS: attach})}

    def _schema(self, _: dict[int, bytes]) -> bytes:
        resources = {name: _versioned(schema["block"]) for name, schema in SCHEMA["resource_schemas"].items()}
        data = {name: _versioned(schema["block"]) for name, schema in SCHEMA["data_source_schemas"].items()}
        own = _versioned({"attributes": {"region": {"type": "string", "optional": True}}})
        return encode((1, own), *mapping(2, resources), *mapping(3, data))

    def _plan(self, request: dict[int, bytes]) -> bytes:
        proposed = _value(request[3])
        if proposed is not None:
            _mark_unknown(proposed, SCHEMA["resource_schemas"][request[1].decode()]["block"])
        return encode((1, _dynamic(proposed)))

    def _apply(self, request: dict[int, bytes]) -> bytes:
        kind, planned = request[1].decode(), _value(request[3])
        if planned is not None:
            self._make_up(kind, planned, SCHEMA["resource_schemas"][kind]["block"])
        return encode((1, _dynamic(planned)))

    def _read(self, request: dict[int, bytes]) -> bytes:
        kind, config = request[1].decode(), _value(request[2])
        if kind == "aws_iam_policy_document":
            config["json"] = json.dumps(policy_document(config))
        for name in SCHEMA["data_source_schemas"][kind]["block"]["attributes"]:
            if config.get(name) is None:
                config[name] = _FACTS.get(name)
        return encode((1, _dynamic(config)))

    def _make_up(self, kind: str, values: dict[str, Any], block: dict[str, Any]) -> None:
        for name, attribute in sorted(block["attributes"].items(), key=lambda entry: entry[0] not in _NAMES):
            if values.get(name) == _UNKNOWN:
                values[name] = self._made_up(kind, name, attribute["type"], values)
        for name, nested in block.get("block_types", {}).items():
            for item in values.get(name) or []:
                self._make_up(kind, item, nested["block"])

    def _made_up(self, kind: str, name: str, of: Any, values: dict[str, Any]) -> Any:
        if of == "string" and name == "arn":
            form = _ARNS.get(kind, f"arn:aws:{kind.split('_')[1]}:{REGION}:{ACCOUNT}:{kind}/{{identity}}")
            return form.format(**values, identity=_identity(values))
        if kind == "aws_sqs_queue" and name in ("id", "url"):
            return f"{self._endpoint}/{ACCOUNT}/{values['name']}"
        if of == "string":
            return _identity(values) if name in ("id", "name", "key_id") else REGION if name == "region" else ""
        if isinstance(of, list):
            return {} if of[0] == "map" else []
        return {"number": 0, "bool": False}.get(of)


def _handler(call: Any) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(lambda request, _context: call({**_NOTHING, **decode(request)}))


_NOTHING = dict.fromkeys(range(1, 8), b"")


def _versioned(block: dict[str, Any]) -> bytes:
    return encode((2, _block(block)))


def _block(block: dict[str, Any]) -> bytes:
    attributes = [
        encode(
            (1, name),
            (2, json.dumps(attribute["type"])),
            (4, attribute.get("required", 0)),
            (5, attribute.get("optional", 0)),
            (6, attribute.get("computed", 0)),
        )
        for name, attribute in block["attributes"].items()
    ]
    blocks = [
        encode(
            (1, name),
            (2, _block(nested["block"])),
            (3, _NESTING[nested["nesting_mode"]]),
            (4, nested.get("min_items", 0)),
            (5, nested.get("max_items", 0)),
        )
        for name, nested in block.get("block_types", {}).items()
    ]
    return encode(*repeated(2, attributes), *repeated(3, blocks))


def _value(dynamic: bytes) -> Any:
    return msgspec.msgpack.decode(decode(dynamic)[1])


def _dynamic(value: Any) -> bytes:
    return encode((1, msgspec.msgpack.encode(value)))


def _mark_unknown(values: dict[str, Any], block: dict[str, Any]) -> None:
    for name, attribute in block["attributes"].items():
        if values.get(name) is None and attribute.get("computed"):
            values[name] = _UNKNOWN
    for name, nested in block.get("block_types", {}).items():
        for item in values.get(name) or []:
            _mark_unknown(item, nested["block"])


def _identity(values: dict[str, Any]) -> str:
    return next((values[name] for name in _NAMES if isinstance(values.get(name), str)), "made-up")


def policy_document(config: dict[str, Any]) -> dict[str, Any]:
    """Make the document that ``data "aws_iam_policy_document"`` stands for."""
    statements = [_statement(statement) for statement in config["statement"] or []]
    for source in config["source_policy_documents"] or []:
        statements += json.loads(source)["Statement"]
    names = [statement["Sid"] for statement in statements if "Sid" in statement]
    assert len(set(names)) == len(names), "the provider refuses statements of one name"
    assert all(re.fullmatch(r"[A-Za-z0-9]*", name) for name in names), "IAM refuses names of other characters"
    return {"Version": "2012-10-17", "Statement": statements}


def _statement(config: dict[str, Any]) -> dict[str, Any]:
    statement = {"Effect": config["effect"] or "Allow", "Action": config["actions"], "Resource": config["resources"]}
    if config["sid"]:
        statement["Sid"] = config["sid"]
    principals = {principal["type"]: principal["identifiers"] for principal in config["principals"] or []}
    if principals:
        statement["Principal"] = "*" if principals == {"*": ["*"]} else principals
    for condition in config["condition"] or []:
        tests = statement.setdefault("Condition", {}).setdefault(condition["test"], {})
        tests[condition["variable"]] = condition["values"]
    return {name: value for name, value in statement.items() if value}
