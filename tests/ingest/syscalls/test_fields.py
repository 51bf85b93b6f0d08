from typing import Any

import pytest
import yaml

from engine.common import common_fields
from engine.fields import Arg, Field, Match, Type
from ingest.syscalls import events
from ingest.syscalls.fields import syscall_table
from tests.shared import SHARED, needs_shared

TABLE = syscall_table(common_fields("h"))

TYPES = {
    "charbuf": Type.STRING,
    "bytebuf": Type.BYTES,
    "bool": Type.BOOL,
    "double": Type.DOUBLE,
    "reltime": Type.RELTIME,
    "abstime": Type.ABSTIME,
    "ipaddr": Type.IPADDR,
    "ipnet": Type.IPNET,
    "port": Type.PORT,
    "dynamic": Type.BYTES,
    **dict.fromkeys(("uint64", "uint32"), Type.UINT),
    **dict.fromkeys(("int64", "int32", "int16"), Type.INT),
}
ARGS = {
    "none": (Arg.NONE, False),
    "optional(index)": (Arg.INDEX, False),
    "required(index)": (Arg.INDEX, True),
    "optional(key)": (Arg.KEY, False),
    "required(key)": (Arg.KEY, True),
    "optional(index | key)": (Arg.INDEX_OR_KEY, False),
    "required(index | key)": (Arg.INDEX_OR_KEY, True),
    "required(dot name)": (Arg.KEY, True),
    "required(dot name | index)": (Arg.INDEX_OR_KEY, True),
    "optional(dot src|dst)": (Arg.KEY, False),
}


def _spec(name: str) -> Any:
    assert SHARED is not None
    return yaml.load((SHARED.parent / "spec" / name).read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _known_rows() -> dict[str, dict[str, Any]]:
    rows = _spec("fields.yaml")["fields"]
    return {row["name"]: row for row in rows if row["source"] in ("any", "syscall")}


def _shared_rows() -> dict[str, Field]:
    return {name: row for name, row in TABLE.fields.items() if not name.startswith("evt.rawarg.") and not row.own}


def _shape(row: Field) -> dict[str, Any]:
    return {
        "type": row.type,
        "list": row.is_list,
        "arg": (row.arg, row.arg_required),
        "hidden": row.hidden,
        "deprecated": row.deprecated,
        "removed": row.removed,
        "no_rhs": row.no_rhs,
        "no_transformer": row.no_transformer,
        "filter_only": row.filter_only,
        "suggested": row.suggested,
        "text": row.text if row.text != "time" else "",
    }


def _known_shape(row: dict[str, Any]) -> dict[str, Any]:
    flags = row.get("flags", [])
    is_list = row["type"].startswith("list(")
    kind = row["type"][5:-1] if is_list else row["type"]
    return {
        "type": TYPES[kind],
        "list": is_list,
        "arg": ARGS[row["arg"]],
        "hidden": row["status"] == "hidden" or "hidden" in flags,
        "deprecated": row["status"] == "deprecated",
        "removed": row["status"] == "removed",
        "no_rhs": "no_rhs" in flags,
        "no_transformer": "no_transformer" in flags,
        "filter_only": "filter_only" in flags,
        "suggested": "suggested_output" in flags,
        "text": "hex" if "print_hex" in flags else "pad9" if "print_pad9" in flags else "",
    }


@needs_shared
def test_the_table_has_all_fields_of_the_host_source_and_no_other() -> None:
    assert set(_shared_rows()) == set(_known_rows())


@needs_shared
def test_types_arguments_and_flags_are_those_of_the_specification() -> None:
    known = {name: _known_shape(row) for name, row in _known_rows().items()}
    assert {name: _shape(row) for name, row in _shared_rows().items()} == known


@needs_shared
def test_dotted_arguments_are_accepted_where_the_specification_has_them_and_on_labels() -> None:
    dotted = {name for name, row in _known_rows().items() if "(dot " in row["arg"] and name != "evt.rawarg"}
    labels = {name for name in TABLE.fields if name.startswith(("container.", "k8s.")) and name.endswith(".label")}
    assert labels == {
        *("container.label", "k8s.pod.label", "k8s.ns.label", "k8s.rc.label"),
        *("k8s.svc.label", "k8s.rs.label", "k8s.deployment.label"),
    }
    assert {name for name, row in TABLE.fields.items() if row.dotted} == dotted | labels


@needs_shared
def test_event_names_are_those_of_the_specification() -> None:
    spec = _spec("events.yaml")
    shown = [row for row in spec["events"] if row["kind"] != "iter" and row["name"] != "scapevent"]
    names = {row["name"] for row in shown}
    assert {*names, *spec["generic_syscalls"], "container_removed"} == events.NAMES
    assert {row["name"] for row in shown if row["kind"] == "syscall"} == events.SYSCALLS
    assert {row["name"] for row in shown if row["kind"] == "tracepoint"} == events.TRACEPOINTS
    folded = {call: row["name"] for row in shown for call in row.get("syscalls", []) if call != row["name"]}
    assert folded == events.SYNONYMS


@needs_shared
def test_parameters_are_those_of_the_specification() -> None:
    shown = [row for row in _spec("events.yaml")["events"] if row["kind"] != "iter" and row["name"] != "scapevent"]
    assert {param[0] for row in shown for param in row["params"]} == set(events.PARAMETERS)


SILENT = {
    **dict.fromkeys(("evt.pluginname", "evt.plugininfo"), "host events come from no plugin"),
    "evt.rawarg": "each parameter has a row of its own",
    **dict.fromkeys(
        [f"evt.infra.docker.{name}" for name in ("name", "container.id", "container.name", "container.image")],
        "no such events are made any more",
    ),
    **dict.fromkeys(("thread.exectime", "thread.totexectime"), "time on a processor is not measured"),
    **dict.fromkeys(("thread.cpu", "thread.cpu.user", "thread.cpu.system"), "nobody reports it any more"),
}


def test_every_field_that_is_not_retired_has_an_answer() -> None:
    silent = {name for name, row in TABLE.fields.items() if row.get is None and not row.removed}
    retired = {name for name in silent if TABLE.fields[name].deprecated}
    assert retired == {
        *("proc.is_container_healthcheck", "proc.is_container_liveness_probe", "proc.is_container_readiness_probe"),
        *("container.healthcheck", "container.liveness_probe", "container.readiness_probe"),
    }
    assert silent - retired == set(SILENT)


def test_comparisons_of_several_values_are_marked() -> None:
    marked = {match: {name for name, row in TABLE.fields.items() if row.match is match} for match in Match}
    names = {"fd.cip.name", "fd.sip.name", "fd.lip.name", "fd.rip.name"}
    assert marked[Match.ENDPOINT] == {"fd.ip", "fd.port", "fd.proto", "fd.net"} | names
    assert marked[Match.ANY] == {
        *("proc.aname", "proc.apid", "proc.aexe", "proc.aexepath", "proc.acmdline", "proc.aenv", "proc.aargs"),
    }


def test_raw_arguments_have_the_type_of_their_parameter() -> None:
    kinds = {
        name: TABLE.fields[f"evt.rawarg.{name}"].type for name in ("res", "name", "data", "flags", "exe_ino_ctime")
    }
    assert kinds == {
        "res": Type.INT,
        "name": Type.STRING,
        "data": Type.BYTES,
        "flags": Type.UINT,
        "exe_ino_ctime": Type.ABSTIME,
    }


@pytest.mark.parametrize("literal", ["open", "setxattr", "procexit", "container", "container_removed", "pread64"])
def test_event_types_may_be_any_event_or_system_call(literal: str) -> None:
    assert literal in (TABLE.fields["evt.type"].domain or ())
    assert literal in (TABLE.fields["syscall.type"].domain or ())


def test_no_synonym_is_itself_an_event() -> None:
    assert not events.NAMES & set(events.SYNONYMS)
    assert set(events.SYNONYMS.values()) <= events.NAMES


def test_rules_are_indexed_by_event_type() -> None:
    assert TABLE.discriminators == ("evt.type",)
    assert TABLE.aliases == {"syscall.type": "evt.type"}
