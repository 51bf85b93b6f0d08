"""The module's source: it parses, everything in it is declared, described and used, and its README says the same."""

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("hcl2", reason="python-hcl2 is not installed")

from tests.infra.module import MODULE, comments, parse, references, strings, text
from tests.infra.readme import BEGIN, END, tables

EXAMPLES = sorted((MODULE / "examples").iterdir())
FOLDERS = [MODULE, *EXAMPLES]
_RESOURCE = r"(?<![\w.])((?:data\.)?aws_[a-z0-9_]+\.[a-z_0-9]+)"


@pytest.fixture(params=FOLDERS, ids=[folder.name for folder in FOLDERS])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_every_variable_has_a_type_and_a_sentence(folder: Path) -> None:
    for name, body in parse(folder).variables.items():
        assert body["type"], name
        assert text(body["description"]).endswith("."), name


def test_every_variable_and_local_is_used(folder: Path) -> None:
    module = parse(folder)
    bodies = (module.locals, module.outputs, module.resources, module.data, module.calls, module.providers)
    used = [list(bodies_of.values()) for bodies_of in bodies]
    assert set(module.variables) - references(used, r"\bvar\.(\w+)") == set()
    assert set(module.locals) - references(used, r"\blocal\.(\w+)") == set()


def test_every_reference_is_to_something_that_is_there(folder: Path) -> None:
    module = parse(folder)
    everything = list(module.everything())
    assert references(everything, r"\bvar\.(\w+)") <= set(module.variables)
    assert references(everything, r"\blocal\.(\w+)") <= set(module.locals)
    assert references(everything, _RESOURCE) <= {*module.resources, *module.data}
    assert references(everything, r"\bmodule\.(\w+)\.") <= set(module.calls)


def test_every_output_has_a_sentence(folder: Path) -> None:
    for name, body in parse(folder).outputs.items():
        assert text(body["description"]), name


def test_a_limit_on_values_has_a_message_that_says_it() -> None:
    limits = [limit for body in parse().variables.values() for limit in body.get("validation", [])]
    assert len(limits) > 40
    assert all(text(limit["error_message"]).endswith(".") for limit in limits)


def test_whatever_can_have_tags_gets_them() -> None:
    schema = json.loads((Path(__file__).parent / "aws_schema.json").read_text())["resource_schemas"]
    for address, body in parse().resources.items():
        if "tags" in schema[address.split(".")[0]]["block"]["attributes"]:
            assert body.get("tags") == "${local.tags}", address


def test_every_exception_from_a_check_has_its_reason() -> None:
    found = [c for body in parse().everything() for c in comments(body) if "checkov:skip" in c]
    assert len(found) > 10
    assert all(re.fullmatch(r"checkov:skip=CKV\d?_AWS_\d+:[A-Z\"].{20,}\.", comment) for comment in found)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_gives_inputs_and_takes_outputs_that_the_module_has(example: Path) -> None:
    module, user = parse(), parse(example)
    (call,) = user.calls.values()
    assert text(call["source"]) == "../.."
    given = {name for name in call if not name.startswith("__")} - {"source"}
    assert given <= set(module.variables)
    assert references(list(user.outputs.values()), r"module\.lanner\.(\w+)") <= set(module.outputs)


def test_the_readme_has_the_tables_of_the_source() -> None:
    readme = (MODULE / "README.md").read_text()
    inside = readme[readme.index(BEGIN) + len(BEGIN) : readme.index(END)]
    assert inside.strip() == tables().strip(), "run: python -m tests.infra.readme"


def test_faults_of_older_modules_are_not_repeated() -> None:
    module = parse()
    assert module.variables["force_destroy"]["default"] is False
    assert module.variables["log_retention_days"]["default"] >= 365
    assert "s3" not in "".join(strings(module.variables["advanced_event_selectors"]["default"])).lower()
    queue = module.resources["aws_sqs_queue.this"]
    assert queue["receive_wait_time_seconds"] == 20
    assert "deadLetterTargetArn" in queue["redrive_policy"]
