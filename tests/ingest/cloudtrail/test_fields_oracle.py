"""Every field of every recorded event answers what Falco answered, but for the differences that are named here."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from engine.jsontext import compact
from ingest.cloudtrail.record import to_event
from ingest.jsonfields import value_at
from tests.ingest.cloudtrail.samples import Json, answers, ask, lines, recorded
from tests.shared import SHARED, needs_shared

Wanted = Callable[[Json, Any, Any], bool]
"""Whether a difference is of the wanted sort: record, Falco's answer, ours."""


def _null(*path: str) -> Wanted:
    return lambda record, falco, ours: value_at(record, *path) is None and falco == "null" and ours is None


def _no_text(*path: str) -> Wanted:
    def wanted(record: Json, falco: Any, ours: Any) -> bool:
        value = value_at(record, *path)
        return isinstance(value, dict | list) and falco == "" and ours == compact(value)

    return wanted


def _unread(*path: str) -> Wanted:
    def wanted(record: Json, falco: Any, ours: Any) -> bool:
        value = value_at(record, *path)
        return value is not None and falco is None and ours == (value if isinstance(value, str) else compact(value))

    return wanted


def _escapes(record: Json, falco: Any, ours: Any) -> bool:
    return isinstance(falco, str) and isinstance(ours, str) and "\\u" in falco and json.loads(falco) == json.loads(ours)


def _inferred(record: Json, falco: Any, ours: Any) -> bool:
    return "readOnly" not in record and falco is None and ours in ("true", "false")


def _inferred_arrow(record: Json, falco: Any, ours: Any) -> bool:
    return "readOnly" not in record and ours.replace("→", "←") == falco


def _text_flag(record: Json, falco: Any, ours: Any) -> bool:
    return record["sessionCredentialFromConsole"] == "true" and (falco, ours) == ("false", "true")


_Q1 = "Q1: an object or array under a text field is its JSON text, not an empty one"
_Q2 = "Q2: a JSON null is absent, not the text null"
_Q3 = "Q3: ct.request.documentname is read"
_Q4 = "Q4: readOnly is inferred where the record lacks it"
_HOST = "ct.request.host: the lower-case key is read too"
_FLAG = "ct.sessioncredentialfromconsole: CloudTrail writes the text true"
_ESCAPES = "JSON text holds characters where the file has escapes; Falco copies the file's spelling"

WANTED: dict[str, dict[str, Wanted]] = {
    "ct.response": {_Q2: _null("responseElements"), _ESCAPES: _escapes},
    "ct.request": {_Q2: _null("requestParameters")},
    "json.value[/responseElements]": {_Q2: _null("responseElements"), _ESCAPES: _escapes},
    "json.value[/requestParameters]": {_Q2: _null("requestParameters")},
    "ct.useragent": {_Q1: _no_text("userAgent")},
    "ct.request.policy": {_Q1: _no_text("requestParameters", "policy")},
    "ct.serviceeventdetails": {_Q1: _no_text("serviceEventDetails")},
    "ct.request.documentname": {_Q3: _unread("requestParameters", "documentName")},
    "ct.readonly": {_Q4: _inferred},
    "ct.info": {_Q4: _inferred_arrow},
    "evt.plugininfo": {_Q4: _inferred_arrow},
    "ct.request.host": {_HOST: _unread("requestParameters", "host")},
    "ct.sessioncredentialfromconsole": {_FLAG: _text_flag},
}
"""For each field that may differ: why, and how to tell that it does for this reason."""


def _names() -> list[str]:
    assert SHARED is not None
    names = json.loads((SHARED / "oracle/fields/names.json").read_text())["names"]["aws_cloudtrail"]
    return [name for name in names if not name.startswith("evt.") or name.startswith("evt.plugin")]


@needs_shared
def test_all_fields_answer_as_falco_but_for_the_wanted_differences() -> None:
    names, compared, differing, wrong = _names(), 0, Counter[str](), []
    for answer, record in answers():
        found = to_event(record, "")
        whole = [name for name in ("json.obj", "jevt.obj") if name in answer["fields"]]
        for name in [*names, *whole]:
            falco, ours = answer["fields"].get(name), ask(name, found)
            compared += 1
            if ours != falco:
                reasons = [why for why, is_it in WANTED.get(name, {}).items() if is_it(record, falco, ours)]
                differing.update(f"{name}: {why}" for why in reasons)
                if not reasons:
                    wrong.append((name, answer["file"], answer["record"], falco, ours))
    print(f"{compared} values compared, {differing.total()} wanted differences", *differing.items(), sep="\n")
    assert not wrong, f"{len(wrong)} answers differ, first {wrong[0]}"
    assert compared > 85_000
    unused = {f"{name}: {why}" for name, reasons in WANTED.items() for why in reasons} - differing.keys()
    assert not unused, "differences that no longer exist"


@needs_shared
def test_event_times_are_those_of_falco() -> None:
    checked = 0
    for answer, record in answers():
        assert to_event(record, "").time_ns == answer["fields"]["evt.rawtime"], answer
        checked += 1
    assert checked > 900


@needs_shared
def test_none_of_falcos_known_defects_is_copied() -> None:
    assert SHARED is not None
    inputs: dict[str, list[Json]] = {}
    checked = Counter[str]()
    for defect in lines(SHARED / "oracle/defects.jsonl.gz"):
        if defect["field"].startswith("ka.") or not defect["class"].startswith(("defect", "quirk: array becomes")):
            continue
        record = {**recorded(inputs, defect["file"])[defect["record"]], **defect.get("patch", {})}
        record.setdefault("eventType", "AwsApiCall")
        if not str(record.get("eventTime", "")).startswith("2"):
            record["eventTime"] = "2017-01-01T00:00:00Z"
        assert ask(defect["field"], to_event(record, "")) == defect["plain_reading"], defect
        checked[defect["field"]] += 1
    assert checked.total() > 800
    assert {"ct.response", "ct.request", "ct.request.documentname", "ct.request.host"} <= checked.keys()
