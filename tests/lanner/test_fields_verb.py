import json

import pytest

from lanner.catalog import build_catalog
from lanner.cli.app import status_of

Capture = pytest.CaptureFixture[str]


def told(capsys: Capture, *arguments: str) -> str:
    assert status_of(["fields", *arguments]) == 0
    return capsys.readouterr().out


def test_json_has_the_shape_of_falcos_list(capsys: Capture) -> None:
    classes = json.loads(told(capsys, "aws_cloudtrail", "--format", "json"))["fieldclasses"]
    (found,) = [one for one in classes if one["name"] == "ct"]
    assert set(found) == {"name", "desc", "event_sources", "fields"}
    assert found["event_sources"] == ["aws_cloudtrail"]
    fields = {one["name"]: one for one in found["fields"]}
    assert set(fields["ct.name"]) == {"name", "type", "desc", "is_list", "argument"}
    assert (fields["ct.name"]["type"], fields["ct.name"]["argument"]) == ("CHARBUF", None)
    (json_class,) = [one for one in classes if one["name"] == "json"]
    (value,) = [one for one in json_class["fields"] if one["name"] == "json.value"]
    assert value["argument"]["required"] is True
    assert set(value["argument"]["type"]) <= {"KEY", "INDEX"}


def test_names_only(capsys: Capture) -> None:
    names = told(capsys, "k8s_audit", "-N").split()
    assert "ka.verb" in names
    assert "evt.time" in names
    assert not any(name.startswith(("ct.", "proc.")) for name in names)
    assert json.loads(told(capsys, "k8s_audit", "-N", "--format", "json")) == {"fieldnames": names}


@pytest.mark.parametrize("source", build_catalog("h").sources)
def test_every_shown_field_of_a_source_is_listed_once_with_a_sentence(capsys: Capture, source: str) -> None:
    rows = build_catalog("h").tables[source].fields.values()
    shown = [row.name for row in rows if not (row.hidden or row.deprecated or row.removed)]
    assert sorted(told(capsys, source, "-N").split()) == sorted(shown)
    markdown = told(capsys, source, "--format", "markdown")
    assert markdown.count("\n| `") == len(shown)
    assert "|  |" not in markdown
    text = told(capsys, source)
    assert all(f"\n  {name}" in text for name in shown)


def test_without_a_source_all_are_listed(capsys: Capture) -> None:
    names = told(capsys, "-N").split()
    assert {"ct.name", "ka.verb", "proc.name", "evt.num"} <= set(names)
    assert len(names) == len(set(names))


def test_an_unknown_source_names_the_known_ones(capsys: Capture) -> None:
    assert status_of(["fields", "aws"]) == 2
    assert "unknown event source 'aws'; one of syscall, aws_cloudtrail, k8s_audit" in capsys.readouterr().err
