"""One condition on its own, without a rule around it: for trying things out, routes and tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.check import Checker
from engine.definitions import Collection, ListDef, MacroDef, Scalar
from engine.diagnostics import Diagnostic, Report, SourceText
from engine.fields import FieldCatalog
from engine.lists import Unresolved
from engine.operands import Rejected
from engine.parser import parse_condition
from engine.plan import Reducer
from engine.resolve import Resolver
from engine.syntax import ParseFailure
from engine.tree import At, Node
from engine.typed import Checked

ITEM = ("condition", "")


class BadCondition(Exception):
    """A condition that does not load; ``report`` says all that is wrong."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.errors[0].message)
        self.report = report

    @property
    def diagnostic(self) -> Diagnostic:
        """The first error."""
        return self.report.errors[0]


@dataclass(slots=True)
class Vocabulary:
    """
    The macros and lists that conditions may use; reuse it for many conditions.

    Attributes:
        macros: Conditions by macro name; a macro may use those before it.
        lists: Items by list name.
    """

    macros: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def collection(self) -> Collection:
        """Return the definitions as a rule file would give them."""
        found = Collection()
        for number, (name, items) in enumerate(self.lists.items()):
            scalars = tuple(_scalar(str(item)) for item in items)
            found.lists[name] = ListDef(name, scalars, _scalar(name).at, number, number)
        for number, (name, text) in enumerate(self.macros.items()):
            found.macros[name] = MacroDef(name, SourceText(text), _scalar(name).at, number, number)
        return found


def _scalar(value: str) -> Scalar:
    return Scalar(value, At(SourceText(value), 0, max(1, len(value))))


def resolve_condition(text: SourceText, vocabulary: Vocabulary) -> Node:
    """
    Parse a condition and put in its macros and lists; fields are not looked at.

    Raises:
        BadCondition: It is wrong.
    """
    report = Report()
    resolver = Resolver(vocabulary.collection(), report)
    try:
        node = resolver.condition(parse_condition(text), ITEM)
    except ParseFailure as failure:
        report.add(failure.diagnostic)
        raise BadCondition(report) from None
    except Unresolved:
        raise BadCondition(report) from None
    if report.errors:
        raise BadCondition(report)
    return node


def check_condition(
    text: SourceText, source: str, catalog: FieldCatalog, vocabulary: Vocabulary | None = None
) -> Checked:
    """
    Parse, resolve and check a condition for a source.

    Raises:
        BadCondition: It is wrong.
        KeyError: No such source.
    """
    table = catalog.tables[source]
    node = resolve_condition(text, vocabulary or Vocabulary())
    report = Report()
    try:
        return Reducer(table, {}).reduce(Checker(table, catalog, report, item=ITEM).condition(node))
    except Rejected:
        raise BadCondition(report) from None
