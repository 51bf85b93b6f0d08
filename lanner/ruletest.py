"""
Tests of rules: events that must make a rule fire, and near misses that must not.

A test file is YAML. ``events`` names records to start from; a test gives its rule, the event its cases start from, and
the cases as differences to it, laid over it key by key (a list or scalar replaces, null makes a field absent)::

    source: aws_cloudtrail
    events:
      stop: {eventName: StopLogging, eventSource: cloudtrail.amazonaws.com, eventTime: "2026-01-02T09:00:00Z"}
    tests:
      - rule: Trail stopped or deleted
        event: {like: stop}
        fires:
          - stopped: {}
          - deleted: {eventName: DeleteTrail}
        quiet:
          - started: {eventName: StartLogging}

``like`` inside of an event or a case names the record to start from instead. ``given`` holds rule items that are loaded
after the rules, such as overrides of lists and exceptions; ``output`` holds texts that the message of the first firing
case must contain. At the top ``include`` names files whose ``events`` are known too, and ``rules`` the rule files, both
relative to the test file; without ``rules`` a file in a folder ``tests`` is about the rules in the folder above.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from engine.alert import make_alert
from engine.evaluate import Engine
from engine.event import Event, Record
from engine.explain import Explained, decider, explain, leaves
from engine.fields import FieldCatalog
from engine.load import LoadOptions, load_rules
from engine.rulefile import RuleFile
from engine.ruleset import Rule, RuleSet
from ingest.cloudtrail import record as cloudtrail
from ingest.k8saudit import record as k8saudit
from ingest.syscalls import described
from lanner import rulefiles
from lanner.errors import RulesError, UserError
from lanner.yamltree import pairs, place, plain

EVENT_MAKERS: Mapping[str, Callable[[object, str], Event]] = {
    cloudtrail.SOURCE: cloudtrail.to_event,
    k8saudit.SOURCE: k8saudit.to_event,
    described.SOURCE: described.to_event,
}
"""How a record of a source becomes an event, the way the source itself does it."""

_FILE_KEYS = ("source", "rules", "include", "events", "tests")
_TEST_KEYS = ("rule", "event", "fires", "quiet", "given", "output")
_LIKE = "like"


class TestFileError(UserError):
    """A test file cannot be read; the text names file and line."""

    __test__ = False


@dataclass(frozen=True, slots=True)
class Case:
    """
    One event and what is expected of it.

    Attributes:
        name: As the file names it.
        fires: Whether the rule must match.
        record: The whole record.
        place: ``file:line``.
    """

    name: str
    fires: bool
    record: Record
    place: str


@dataclass(frozen=True, slots=True)
class RuleTest:
    """
    The cases of one rule.

    Attributes:
        rule: Name of the rule.
        source: Event source of the records.
        cases: In the order of the file, firing ones first.
        given: Rule items as YAML text, loaded after the rules; "" for none.
        output: Texts that the message of the first firing case must contain.
        place: ``file:line``.
    """

    rule: str
    source: str
    cases: tuple[Case, ...]
    given: str
    output: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class TestFile:
    """A file of tests and the rules it is about, as paths that ``rulefiles.find`` takes."""

    __test__ = False

    path: Path
    rules: tuple[str, ...]
    tests: tuple[RuleTest, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    How a case ended.

    Attributes:
        test, case: What was tried; ``case`` is None when the test as a whole could not be.
        problem: What is wrong, one line each; empty when it passed.
        asked: The comparisons of the rule's condition that were asked, with their answers.
    """

    test: RuleTest
    case: Case | None
    problem: tuple[str, ...] = ()
    asked: tuple[tuple[str, bool], ...] = ()


def find(paths: Iterable[str]) -> list[Path]:
    """
    Return the test files that paths stand for; no path stands for those of the shipped rules.

    A folder stands for the YAML files in all folders ``tests`` in it and below, or, when it has none, for its own.

    Raises:
        TestFileError: A path is not there, or holds no test file.
    """
    return [file for path in [*paths] or [str(rulefiles.bundled())] for file in _expand(Path(path))]


def _expand(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise TestFileError(f"{path}: no such test file or folder")
    below = sorted(file for file in path.resolve().rglob("*.yaml") if file.parent.name == rulefiles.TESTS)
    found = below or sorted(path.glob("*.yaml"))
    if not found:
        raise TestFileError(f"{path}: no test file here or in a folder '{rulefiles.TESTS}' below")
    return found


def read(path: Path) -> TestFile:
    """
    Read a test file.

    Raises:
        TestFileError: It cannot be opened or is not as the module says.
        ConfigError: A key is given twice, or a value is no YAML value.
    """
    root = _mapping(_composed(path), _FILE_KEYS)
    source = str(plain(root["source"])) if "source" in root else ""
    if source not in EVENT_MAKERS:
        raise TestFileError(f"{path}: source is {source or 'missing'}; one of {', '.join(EVENT_MAKERS)} is wanted")
    events = _events(path, root)
    tests = root.get("tests")
    if not isinstance(tests, yaml.SequenceNode):
        raise TestFileError(f"{path}: tests is missing or no list")
    return TestFile(
        path,
        _rules(path, _texts(root, "rules")),
        tuple(_test(node, source, events) for node in tests.value),
    )


def _events(path: Path, root: Mapping[str, yaml.Node]) -> dict[str, Record]:
    events: dict[str, Record] = {}
    for name in _texts(root, "include"):
        events |= _named(_mapping(_composed(path.parent / name), ("events",)))
    return events | _named(root)


def _named(root: Mapping[str, yaml.Node]) -> dict[str, Record]:
    node = root.get("events")
    found = plain(node) if node else {}
    if node and not (isinstance(found, dict) and all(isinstance(event, dict) for event in found.values())):
        raise TestFileError(f"{place(node)}: events is a mapping of names to records")
    return dict(found)


def _composed(path: Path) -> yaml.Node:
    try:
        with path.open(encoding="utf-8") as stream:
            root = yaml.compose(stream)
    except (OSError, UnicodeDecodeError) as error:
        raise TestFileError(f"{path}: cannot read the test file: {error}") from None
    except yaml.YAMLError as error:
        raise TestFileError(f"{path}: not YAML: {error}") from None
    if root is None:
        raise TestFileError(f"{path}: the file is empty")
    return root


def _mapping(node: yaml.Node, allowed: Sequence[str]) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        raise TestFileError(f"{place(node)}: a mapping is wanted here")
    found = {key.value: value for key, value in pairs(node)}
    for key in found:
        if key not in allowed:
            raise TestFileError(f"{place(node)}: unknown key '{key}'; known are {', '.join(allowed)}")
    return found


def _texts(keys: Mapping[str, yaml.Node], key: str) -> tuple[str, ...]:
    """Return the text or the list of texts under a key; none when it is not there."""
    node = keys.get(key)
    if node is None:
        return ()
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not all(isinstance(item, yaml.ScalarNode) for item in nodes):
        raise TestFileError(f"{place(node)}: {key} is a text or a list of texts")
    return tuple(item.value for item in nodes)


def _rules(path: Path, given: Sequence[str]) -> tuple[str, ...]:
    folder = path.resolve().parent
    beside = (str(folder.parent),) if folder.name == rulefiles.TESTS else ()
    return tuple(str(path.parent / name) for name in given) or beside


def _test(node: yaml.Node, source: str, events: Mapping[str, Record]) -> RuleTest:
    keys = _mapping(node, _TEST_KEYS)
    where = place(node)
    if "rule" not in keys:
        raise TestFileError(f"{where}: rule is missing")
    base = _laid_over({}, plain(keys["event"]) if "event" in keys else {}, events, where)
    cases = [
        case
        for word, fires in (("fires", True), ("quiet", False))
        for case in (_cases(keys[word], fires, base, events) if word in keys else ())
    ]
    if not cases:
        raise TestFileError(f"{where}: neither fires nor quiet has a case")
    return RuleTest(
        str(plain(keys["rule"])),
        source,
        tuple(cases),
        yaml.safe_dump(plain(keys["given"]), allow_unicode=True) if "given" in keys else "",
        _texts(keys, "output"),
        where,
    )


def _cases(node: yaml.Node, fires: bool, base: Record, events: Mapping[str, Record]) -> Iterator[Case]:
    if not isinstance(node, yaml.SequenceNode):
        raise TestFileError(f"{place(node)}: a list of cases is wanted, each 'name: differences'")
    for entry in node.value:
        named = plain(entry)
        if not isinstance(named, dict) or len(named) != 1:
            raise TestFileError(f"{place(entry)}: a case is one 'name: differences'")
        ((name, differences),) = named.items()
        record = _laid_over(base, differences or {}, events, place(entry))
        yield Case(str(name), fires, record, place(entry))


def _laid_over(base: Record, differences: Any, events: Mapping[str, Record], where: str) -> Record:
    if not isinstance(differences, dict):
        raise TestFileError(f"{where}: the differences of an event are a mapping")
    rest = dict(differences)
    name = rest.pop(_LIKE, None)
    if name is None:
        return merged(base, rest)
    if name not in events:
        raise TestFileError(f"{where}: no event '{name}' in events; there are {', '.join(map(str, events)) or 'none'}")
    others = {known: event for known, event in events.items() if known != name}
    return merged(_laid_over({}, events[name], others, where), rest)


def merged(base: Record, over: Record) -> Record:
    """Return a record with another laid over it: objects key by key, all other values replaced."""
    found = dict(base)
    for key, value in over.items():
        below = found.get(key)
        found[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return found


@dataclass(slots=True)
class Runner:
    """
    Runs test files, loading each set of rules once.

    Attributes:
        catalog: Fields to check the rules against.
        rules: Paths of rules that all files are about; empty for each file's own.
    """

    catalog: FieldCatalog
    rules: tuple[str, ...] = ()
    _engines: dict[tuple[tuple[str, ...], str], Engine] = field(default_factory=dict)

    def run(self, file: TestFile) -> list[Outcome]:
        """
        Return the outcomes of a file's cases, in order.

        Raises:
            TestFileError: Nothing says which rules the file is about.
            RulesError: The rules do not load.
        """
        return [outcome for test in file.tests for outcome in self._test(test, self.engine(file, test.given))]

    def engine(self, file: TestFile, given: str = "") -> Engine:
        """Return an engine of the rules that a file is about, all of them enabled, with more items loaded last."""
        paths = self.rules or file.rules
        if not paths:
            raise TestFileError(f"{file.path}: say which rules it is about: 'rules:' in the file, or -r")
        key = (paths, given)
        if key not in self._engines:
            self._engines[key] = Engine(_all_enabled(self._load(paths, given)))
        return self._engines[key]

    def _load(self, paths: tuple[str, ...], given: str) -> RuleSet:
        files = rulefiles.read(rulefiles.find(paths))
        if given:
            files.append(RuleFile("given", given))
        result = load_rules(files, self.catalog, LoadOptions())
        if result.ruleset is None:
            raise RulesError(result.report, {file.name: file.text for file in files})
        return result.ruleset

    def _test(self, test: RuleTest, engine: Engine) -> Iterator[Outcome]:
        rule = next((r for r in engine.ruleset.rules if r.name == test.rule and r.source == test.source), None)
        if rule is None:
            yield Outcome(test, None, (f"no rule '{test.rule}' for source {test.source}",))
            return
        for case in test.cases:
            yield _outcome(test, case, rule, engine)


def _all_enabled(ruleset: RuleSet) -> RuleSet:
    return replace(ruleset, rules=[replace(rule, enabled=True) for rule in ruleset.rules])


def _outcome(test: RuleTest, case: Case, rule: Rule, engine: Engine) -> Outcome:
    try:
        event = EVENT_MAKERS[test.source](case.record, case.place)
    except (cloudtrail.BadRecord, k8saudit.BadRecord, described.BadDescription) as error:
        return Outcome(test, case, (f"the record is no event of {test.source}: {error}",))
    match = next((match for match in engine.evaluate(event) if match.rule is rule), None)
    told = explain(rule.condition, event)
    asked = tuple((leaf.text, bool(leaf.result)) for leaf in leaves(told))
    if case.fires != (match is not None):
        return Outcome(test, case, _wrong(case, told), asked)
    if match is None or case is not test.cases[0]:
        return Outcome(test, case, (), asked)
    message = make_alert(match, "host").message
    missing = [text for text in test.output if text not in message]
    return Outcome(test, case, tuple(f"the message lacks {text!r}: {message}" for text in missing), asked)


def _wrong(case: Case, told: Explained) -> tuple[str, ...]:
    settled = decider(told)
    answer = "true" if settled.result else "false"
    return (
        f"expected  {'fires' if case.fires else 'quiet'}",
        f"actual    {'quiet' if case.fires else 'fires'}",
        f"decided   {settled.text} is {answer}" + (f", the field is {settled.held}" if settled.held else ""),
    )
