"""What conditions and templates of the configuration can ask of an alert: the fields ``alert.*``."""

from collections.abc import Callable, Iterable
from typing import Any

from engine import times
from engine.alert import Alert
from engine.check import Checker
from engine.condition import BadCondition, check_condition
from engine.diagnostics import Report, SourceText
from engine.event import Event
from engine.fields import Arg, Field, FieldCatalog, Type, table
from engine.generate import predicate
from engine.operands import Rejected
from engine.output import parse_template

SOURCE = "alert"

AlertTest = Callable[[Alert], bool]
AlertText = Callable[[Alert], str]


class BadText(ValueError):
    """A condition or a template over alerts that cannot be used; the text says why."""


def _field(event: Event, name: str) -> str | None:
    value = event.record.output_fields.get(name)  # type: ignore[attr-defined]
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _row(name: str, kind: Type, doc: str, get: Callable[[Alert], Any], **more: Any) -> Field:
    return Field(f"alert.{name}", kind, doc, lambda event: get(event.record), **more)


_TEXT = Type.STRING
_FIELDS = (
    _row("rule", _TEXT, "Name of the rule.", lambda alert: alert.rule),
    _row("priority", _TEXT, "Priority in lower case, such as warning.", lambda alert: alert.priority.name.lower()),
    _row("severity", Type.UINT, "Priority as a number, from 0 for emergency to 7 for debug.", lambda a: a.priority),
    _row("source", _TEXT, "Event source of the rule.", lambda alert: alert.source),
    _row("hostname", _TEXT, "Machine that evaluated the event.", lambda alert: alert.hostname),
    _row("message", _TEXT, "The message, without time and priority.", lambda alert: alert.message),
    _row("tags", _TEXT, "Tags of the rule.", lambda alert: alert.tags or None, is_list=True),
    _row("uid", _TEXT, "Identity of the alert, the same for every repeat.", lambda alert: alert.uid),
    _row("time", _TEXT, "Time of the event, ISO 8601 in UTC.", lambda alert: times.utc_json(alert.time_ns)),
    Field("alert.field", _TEXT, "One of output_fields, as text.", _field, arg=Arg.KEY, arg_required=True),
)

CATALOG = FieldCatalog({SOURCE: table(SOURCE, _FIELDS, doc="Alerts, for routes and templates.")})


def _event(alert: Alert) -> Event:
    return Event(SOURCE, alert.time_ns, alert, alert.uid)  # type: ignore[arg-type]


def alert_test(condition: str) -> AlertTest:
    """Return a condition over alerts as a function. Raises BadText."""
    try:
        holds = predicate(check_condition(SourceText(condition), SOURCE, CATALOG))
    except BadCondition as error:
        raise BadText(_said(error.report)) from None
    return lambda alert: holds(_event(alert))


def alert_text(template: str) -> AlertText:
    """Return a template over alerts, with ``%alert.rule`` and the like, as a function. Raises BadText."""
    report = Report()
    try:
        made = parse_template(SourceText(template), Checker(CATALOG.tables[SOURCE], CATALOG, report))
    except Rejected:
        raise BadText(_said(report)) from None
    return lambda alert: made.render(_event(alert))


def _said(report: Report) -> str:
    return "; ".join(_sentences(report))


def _sentences(report: Report) -> Iterable[str]:
    for found in report.errors:
        yield f"{found.message} (column {found.span.col}){f'; {found.hint}' if found.hint else ''}"
