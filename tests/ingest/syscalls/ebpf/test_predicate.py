"""The C that rules become holds back in a real kernel what their formula holds back, and nothing else."""

import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.syscalls import pushdown
from ingest.syscalls.ebpf.decode import Decoder
from ingest.syscalls.ebpf.driver import Driver, DriverOptions
from ingest.syscalls.ebpf.predicate import filter_of, wanted_numbers
from lanner.catalog import build_catalog
from tests.ingest.syscalls.ebpf.live import PYTHON, REASONS, needs_ebpf
from tests.shared import SHARED, needs_shared

CATALOG = build_catalog("h")
TABLE = CATALOG.tables["syscall"]

CONDITIONS = [
    "evt.type = openat and fd.name = /tmp/exact",
    "evt.type = openat and fd.name startswith /tmp/start and evt.is_open_write = true",
    "evt.type = openat and fd.name in (/tmp/one, /tmp/two/three) and not proc.name in (other, more)",
    "evt.type = openat and fd.name pmatch (/tmp/tree) and evt.rawres < 0",
    "evt.type = openat and fd.directory = /tmp/folder and evt.res = SUCCESS",
    "evt.type = openat and fd.name endswith release_agent and user.uid != 12345",
    "evt.type = openat and fd.nameraw contains ../ and evt.is_open_write = true",
    "evt.type = openat and proc.name startswith nobody",
    f"evt.type = openat and fd.name = /tmp/{'l' * 70}",
]
NAMES = [
    *(
        "/tmp/exact",
        "/tmp/exac",
        "/tmp/exactly",
        "/tmp/start",
        "/tmp/started",
        "/tmp/star",
        "/tmp/one",
        "/tmp/two/three",
    ),
    *("/tmp/tree", "/tmp/tree/a", "/tmp/trees", "/tmp/folder/x", "/tmp/folder", "/x/release_agent", "/x/release_agen"),
    *(
        "/nt",
        "/",
        "/tmp/./exact",
        "//tmp/exact",
        "/tmp/.hidden",
        "/tmp/a../b",
        "relative",
        "../up",
        "",
        "/tmp/" + "x" * 150,
    ),
    *(
        "/tmp/" + "l" * 70,
        "/tmp/" + "l" * 69,
        "/tmp/" + "l" * 60,
        "/tmp/" + "y" * 122,
        "/tmp/" + "y" * 121,
        "/e/se_agent",
    ),
]
MODES = [os.O_RDONLY, os.O_WRONLY, os.O_RDWR]
_OPENS = """
import json, os, sys
found = []
for name, flags in json.load(sys.stdin):
    try:
        descriptor = os.open(name, flags)
        found.append(0)
        os.close(descriptor)
    except OSError as error:
        found.append(-error.errno)
print(json.dumps(found))
"""


def formulas(conditions: list[str]) -> pushdown.Pushdown:
    rule = "- rule: r{0}\n  desc: d\n  condition: >\n    {1}\n  output: x\n  priority: INFO\n"
    text = "".join(rule.format(number, condition) for number, condition in enumerate(conditions))
    result = load_rules([RuleFile("t.yaml", text)], CATALOG)
    assert result.ruleset is not None, [found.message for found in result.report.errors]
    return pushdown.push_down(result.ruleset.enabled, TABLE)


def facts(name: str, flags: int, result: int, comm: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {"comm": comm, "ret": result, "uid": os.geteuid()}
    asked = {os.O_RDONLY: {pushdown.READ}, os.O_WRONLY: {pushdown.WRITE}, os.O_RDWR: {pushdown.READ, pushdown.WRITE}}
    found["open"] = asked[flags]
    sure = name.startswith("/") and len(name) < 128 and not any(pair in name for pair in pushdown.UNSURE)
    return found | ({"path": name.encode()} if sure else {})


def told(driver: Driver, pid: int) -> Iterator[tuple[str, int]]:
    """Yield names and flags of the opens of a process that the kernel said rules may want."""
    decoder = Decoder()
    for batch, starts in driver.take():
        for call, wanted in decoder.decode(batch, starts):
            if wanted and call.name == "openat" and call.seen is not None and call.seen.pid == pid:
                yield call.params[2], call.params[3]


@pytest.mark.parametrize("mode", ["full", "fast"])
@pytest.mark.usefixtures("possible")
class TestLive:
    pytestmark = needs_ebpf

    def test_each_open_is_told_exactly_when_the_formula_holds(self, mode: str) -> None:
        asked = formulas(CONDITIONS)
        driver = Driver(DriverOptions(mode=mode))
        try:
            driver.load(wanted_numbers(asked), filter_of(asked))
            opens = list(itertools.product(NAMES, MODES))
            child = subprocess.Popen(
                [PYTHON, "-I", "-S", "-c", _OPENS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            printed, _ = child.communicate(json.dumps(opens), timeout=30)
            seen = {(name, flags & 3) for name, flags in told(driver, child.pid)}
        finally:
            driver.close()
        answers = set()
        for (name, flags), result in zip(opens, json.loads(printed), strict=True):
            expected = pushdown.holds(asked.events["openat"], facts(name, flags, result or 3, b"python3"))
            answers.add(expected)
            falcos = {os.O_RDONLY: 1, os.O_WRONLY: 2, os.O_RDWR: 3}[flags]
            assert ((name, falcos) in seen) is expected, (name, flags, result)
        assert answers == {True, False}


@pytest.fixture
def possible() -> None:
    assert not REASONS, "; ".join(REASONS)


def test_no_text_of_a_rule_is_part_of_the_c_text() -> None:
    evil = '/tmp/"); return 0; /*'
    made = filter_of(
        formulas([f"evt.type = openat and fd.name = '{evil}'", 'evt.type = openat and proc.name = "*/ x"'])
    )
    assert "return 0; /*" not in made.early + made.late + made.declarations
    assert not re.search(r"[\"']", made.early + made.late)
    assert any(evil.encode() in key for key, _ in made.contents["f_paths"])


def test_what_there_is_no_room_for_is_left_to_the_engine() -> None:
    many = [f"evt.type = openat and fd.name = /tmp/{number}" for number in range(200)]
    made = filter_of(formulas(many))
    assert made.late == "return 1;"
    numbers = ", ".join(map(str, range(40)))
    assert filter_of(formulas([f"evt.type = dup and evt.rawres in ({numbers})"])).early == "return 1;"


@needs_shared
def test_falcos_rules_ask_for_few_calls() -> None:
    assert SHARED is not None
    path = SHARED / "falco-rules/falcosecurity-rules/falco_rules.yaml"
    result = load_rules([RuleFile(path.name, path.read_text("utf-8"))], CATALOG)
    assert result.ruleset is not None
    asked = pushdown.push_down([rule for rule in result.ruleset.enabled if rule.source == "syscall"], TABLE)
    assert asked.unbound == ()
    assert len(wanted_numbers(asked)) == 19
    assert "case 257:" in filter_of(asked).late
