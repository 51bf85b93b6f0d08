"""Every ka.* field of every recorded event answers what Falco answered, but for the differences that are named here."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.jsonfields import value_at
from tests.ingest.k8saudit.samples import Json, ask, audit, event, pod
from tests.shared import SHARED, needs_shared

Answer = Callable[[Json, str], Any]
"""What we want instead: from the record and the argument of the field."""


def _source_ips(record: Json, arg: str) -> Any:
    ips = record.get("sourceIPs", [])
    return (ips[int(arg) : int(arg) + 1] if arg else ips) or None


def _service_ports(record: Json, arg: str) -> Any:
    ports = value_at(record, "requestObject", "spec", "ports") or []
    texts = [json.dumps(port, separators=(",", ":")) for port in ports]
    return (texts[int(arg) : int(arg) + 1] if arg else texts) or None


def _effective_id(record: Json, arg: str) -> Any:
    containers = value_at(record, "requestObject", "spec", "containers") or []
    return ["0"] if int(arg) < len(containers) else None  # no container and no pod of the recordings sets an id


WANTED: dict[str, tuple[str, Answer]] = {
    "ka.sourceips": ("Falco looks in the wrong place and never fills it", _source_ips),
    "ka.req.service.ports": ("Falco gives the whole array as one text and ignores the index", _service_ports),
    "ka.req.pod.containers.eff_run_as_user": ("Falco has no value when asked with an index", _effective_id),
    "ka.req.pod.containers.eff_run_as_group": ("Falco has no value when asked with an index", _effective_id),
}


def _lines(path: Path) -> list[Any]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _answers() -> Iterator[tuple[Json, Json]]:
    """Yield (what Falco answered, the record it was asked about)."""
    assert SHARED is not None
    inputs: dict[str, list[Any]] = {}
    for path in sorted((SHARED / "oracle" / "fields").glob("ka-*.jsonl.gz")):
        for answer in _lines(path):
            if answer["file"] not in inputs:
                inputs[answer["file"]] = _lines(SHARED / answer["file"])
            yield answer, {**inputs[answer["file"]][answer["record"]], **answer.get("patch", {})}
    events = _lines(SHARED / "oracle" / "events" / "ka.jsonl")
    for answer in _lines(SHARED / "oracle" / "events" / "ka.fields.jsonl.gz"):
        yield answer, events[answer["record"]]


def _names() -> list[str]:
    assert SHARED is not None
    names = json.loads((SHARED / "oracle" / "fields" / "names.json").read_text())["names"]["k8s_audit"]
    return [name for name in names if name.startswith(("ka.", "evt.plugin"))]


@needs_shared
def test_all_fields_answer_as_falco_but_for_the_wanted_differences() -> None:
    names, compared, differing, wrong = _names(), 0, Counter[str](), []
    for answer, record in _answers():
        found = event(record)
        for name in names:
            falco, ours = answer["fields"].get(name), ask(name, found)
            compared += 1
            if ours != falco:
                base, _, arg = name.rstrip("]").partition("[")
                differing[base] += 1
                if base not in WANTED or ours != WANTED[base][1](record, arg):
                    wrong.append((name, answer["event_id"], falco, ours))

    assert wrong == []
    assert compared > 90_000
    assert set(differing) == set(WANTED), "a difference that does not show in the recordings needs no row"


@needs_shared
@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_wanted_difference_is_one_that_was_told_as_a_defect_of_falco(name: str) -> None:
    assert SHARED is not None
    told = {row["field"].partition("[")[0] for row in _lines(SHARED / "oracle" / "defects.jsonl.gz")}

    assert name in told


CONTAINER = {"name": "c", "image": "host:5000/team/app:1", "securityContext": {"capabilities": {"add": ["A", "B"]}}}
UNSEEN: list[tuple[str, Json, Any, Any, str]] = [
    ("ka.verb", audit(auditID=None), None, "list", "Falco answers nothing of an event without auditID"),
    ("ka.useragent", {**audit(), "userAgent": None}, "null", None, "a JSON null is absent, not the text null"),
    (
        "ka.req.pod.containers.image.repository",
        pod(containers=[CONTAINER]),
        ["host"],
        ["host:5000/team/app"],
        "Falco cuts at the first colon, the one of the registry's port",
    ),
    (
        "ka.req.pod.containers.add_capabilities",
        pod(containers=[CONTAINER]),
        ['["A","B"]'],
        ["A", "B"],
        "Falco gives one JSON text per container, so that no rule can ask for a capability",
    ),
    (
        "ka.req.pod.containers.eff_run_as_user",
        pod(containers=[CONTAINER], securityContext={"runAsUser": 7}),
        ["0"],
        ["7"],
        "Falco answers 0 whatever container and pod say",
    ),
    (
        "ka.req.pod.containers.command",
        pod(containers=[{"command": ["a", 1]}, {"command": ["b"]}]),
        None,
        ["b"],
        "one odd container hides no other",
    ),
]
"""Differences that no recorded event shows: field, record, what Falco's source says it answers, what we want, why."""


@pytest.mark.parametrize(("name", "record", "falco", "want", "why"), UNSEEN)
def test_wanted_differences_that_the_recordings_do_not_show(
    name: str, record: Json, falco: Any, want: Any, why: str
) -> None:
    assert ask(name, record) == want != falco, why
