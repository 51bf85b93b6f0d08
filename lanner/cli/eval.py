"""``lanner eval``: one condition against events, with reasons; and its machine form."""

import json
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, TextIO

import click
import msgspec

from engine.condition import BadCondition, Vocabulary, check_condition, resolve_condition
from engine.diagnostics import Diagnostic, SourceText
from engine.event import Event
from engine.explain import Explained, decider, explain
from engine.fields import FieldCatalog
from engine.generate import Predicate, generate, predicate
from engine.render import printable
from engine.typed import Checked
from lanner.errors import Exit, RulesError, UserError

_HELP = """Evaluate CONDITION on events and print each event's answer.

EVENTS are files and folders as `lanner scan` reads them; '-' is standard input.

\b
Examples:
  lanner eval --source aws_cloudtrail 'ct.name = StopLogging' trail.json.gz
  lanner eval --source k8s_audit 'ka.verb = create and not ka.user.name startswith system:' audit.log --explain
  lanner eval --cases cases.jsonl --json

\b
A case is one line {"condition": ..., "source": ..., "event": {...}}, with "macros" and "lists" if it needs some, and
gives one line {"result": true|false} or {"error": {"code", "message", "line", "column"}}. Without "event" the condition
is only checked: {"ok": true}. With "parse_only": true its fields are not looked up. A line that is no case has the
error code BAD_CASE and costs only its own answer.

\b
Exit status: 0 the condition held for some event, or all cases were answered
             1 it held for none    2 wrong command line    3 the condition is wrong
"""


_decode = msgspec.json.Decoder().decode
_BAD_CASE = "BAD_CASE"
_BLOCK = 500
"""Cases of a file that are answered before the answers are written."""


@click.command("eval", help=_HELP, short_help="Try a condition on events.")
@click.argument("arguments", nargs=-1, metavar="[CONDITION EVENTS...]")
@click.option("--source", help="Event source of the condition: aws_cloudtrail, k8s_audit or syscall.")
@click.option("--explain", "explained", is_flag=True, help="For each event say what every field held.")
@click.option("--matching", is_flag=True, help="Print only the events for which the condition holds.")
@click.option(
    "--cases", type=click.File("r", encoding="utf-8", errors="replace"), help="File of cases, one object a line."
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON lines.")
def eval(  # noqa: A001 - the verb's name
    arguments: tuple[str, ...],
    source: str | None,
    explained: bool,
    matching: bool,
    cases: TextIO | None,
    as_json: bool,
) -> int:
    """Run the verb."""
    from lanner.catalog import build_catalog
    from lanner.hostname import hostname

    catalog = build_catalog(hostname())
    if cases is not None:
        if arguments:
            raise click.UsageError("--cases brings its own conditions and events")
        return _answer_cases(cases, catalog)
    if len(arguments) < 2 or source is None:
        raise click.UsageError("a condition, --source and at least one file of events are wanted")
    if source not in catalog.sources:
        raise click.UsageError(f"no source {source!r}; one of {', '.join(catalog.sources)}")
    show = _as_json if as_json else _as_reasons if explained else _as_line
    return _answer_events(arguments[0], source, arguments[1:], catalog, show, matching)


Show = Callable[[Checked, Event, bool], str]


def _answer_events(
    condition: str, source: str, paths: tuple[str, ...], catalog: FieldCatalog, show: Show, matching: bool
) -> int:
    text = SourceText(condition, (0,), (("condition", 1, 1),))
    try:
        checked = check_condition(text, source, catalog)
    except BadCondition as problem:
        raise RulesError(problem.report, {"condition": condition}) from None
    call = generate([(True, checked)]).call
    held = 0
    for event in _events(paths, source):
        answer = bool(call(event))
        held += answer
        if answer or not matching:
            click.echo(show(checked, event, answer))
    return Exit.OK if held else Exit.FOUND


def _events(paths: tuple[str, ...], source: str) -> Iterator[Event]:
    from lanner.files import read_events
    from lanner.payloads import find

    try:
        found = [payload.path for payload in find(paths)]
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    for path in found:
        number = 0
        for decoded in read_events(path, source):
            for reason, detail in decoded.skipped:
                click.echo(f"lanner: {printable(f'{path}: skipped, {reason}: {detail}')}", err=True)
            for event in decoded.events:
                number += 1
                event.num = number
                yield event


def _as_line(_checked: Checked, event: Event, answer: bool) -> str:
    return f"{'true ' if answer else 'false'}  {printable(f'{event.origin}  {event.uid}')}"


def _as_json(checked: Checked, event: Event, answer: bool) -> str:
    told = decider(explain(checked, event))
    found = {"uid": event.uid, "origin": event.origin, "result": answer, "decided_by": told.text, "held": told.held}
    return json.dumps(found, ensure_ascii=True)


def _as_reasons(checked: Checked, event: Event, answer: bool) -> str:
    told = explain(checked, event)
    settled = decider(told)
    lines = [_as_line(checked, event, answer), *_reasons(told, 1)]
    return "\n".join([*lines, f"  decided by: {settled.text}" + (f"   [{settled.held}]" if settled.held else "")])


def _reasons(told: Explained, depth: int) -> Iterator[str]:
    mark = {True: "+", False: "-", None: " "}[told.result]
    held = f"   [{told.held}]" if told.held else "   (not looked at)" if told.result is None else ""
    yield f"  {'  ' * depth}{mark} {told.text}{held}"
    for part in told.parts:
        yield from _reasons(part, depth + 1)


# Cases


def _answer_cases(cases: TextIO, catalog: FieldCatalog) -> int:
    compiled = lru_cache(4096)(lambda condition, source, names: _compiled(condition, source, names, catalog))
    lines = filter(str.strip, cases)
    size = _BLOCK if cases.seekable() else 1  # who writes cases into a pipe may wait for each answer
    while block := list(islice(lines, size)):
        sys.stdout.write("".join(f"{json.dumps(_answered(line, catalog, compiled))}\n" for line in block))
    return Exit.OK


class _BadCase(Exception):
    """A line is no case; it costs only its own answer."""


def _answered(line: str, catalog: FieldCatalog, compiled: Callable[..., Any]) -> dict[str, Any]:
    try:
        return _answer(_case(line), catalog, compiled)
    except _BadCase as problem:
        return {"error": {"code": _BAD_CASE, "message": str(problem), "line": 1, "column": 1}}


def _answer(case: dict[str, Any], catalog: FieldCatalog, compiled: Callable[..., Any]) -> dict[str, Any]:
    names = json.dumps([case.get("macros") or {}, case.get("lists") or {}])
    try:
        if case.get("parse_only"):
            resolve_condition(SourceText(case["condition"]), _vocabulary(names))
            return {"ok": True}
        if case.get("source") not in catalog.sources:
            raise _BadCase(f"'source' is one of {', '.join(catalog.sources)}")
        call = compiled(case["condition"], case["source"], names)
    except BadCondition as problem:
        return {"error": _error(problem.diagnostic)}
    if case.get("event") is None:
        return {"ok": True}
    return {"result": call(_event(case["event"], case["source"]))}


def _case(line: str) -> dict[str, Any]:
    try:
        case = _loads(line)
    except (ValueError, RecursionError) as problem:
        raise _BadCase(f"not JSON: {problem}") from None
    if not isinstance(case, dict) or not isinstance(case.get("condition"), str):
        raise _BadCase("a case is an object with the text 'condition'")
    for key, kind in (("macros", str), ("lists", list)):
        named = case.get(key) or {}
        if not isinstance(named, dict) or not all(isinstance(value, kind) for value in named.values()):
            raise _BadCase(f"{key!r} is an object of {'texts' if kind is str else 'arrays'} by name")
    if not isinstance(case.get("event"), dict | None):
        raise _BadCase("'event' is an object")
    return case


def _loads(line: str) -> Any:
    try:
        return _decode(line)
    except ValueError:  # lone surrogates and NaN, which only the library of Python takes
        return json.loads(line)


def _vocabulary(names: str) -> Vocabulary:
    macros, lists = json.loads(names)
    return Vocabulary(macros, lists)


def _compiled(condition: str, source: str, names: str, catalog: FieldCatalog) -> Predicate:
    return predicate(check_condition(SourceText(condition), source, catalog, _vocabulary(names)))


def _error(found: Diagnostic) -> dict[str, Any]:
    return {"code": found.code, "message": found.message, "line": found.span.line, "column": found.span.col}


def _event(record: dict[str, Any], source: str) -> Event:
    """Make an event of a record that may be cut down to what a condition needs."""
    from ingest.cloudtrail import record as cloudtrail
    from ingest.k8saudit import record as k8saudit

    try:
        if source == cloudtrail.SOURCE:
            return cloudtrail.to_event(record, "case")
        if source == k8saudit.SOURCE:
            return k8saudit.to_event(record, "case")
    except (cloudtrail.BadRecord, k8saudit.BadRecord):
        pass
    return Event(source, 0, record, "", "case")
