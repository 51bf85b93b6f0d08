"""
Rule files to a rule set, the passes in order: read, resolve, check, lint, select.

Everything wrong in all files is reported in one go; a rule set is given only when there is no error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from engine import lint
from engine.check import UNKNOWN, Checker
from engine.definitions import Collection, RuleDef
from engine.diagnostics import WARNING, Diagnostic, Report, SourceText, Span
from engine.fields import FieldCatalog
from engine.lists import VALIDATE, Unresolved
from engine.operands import Rejected
from engine.output import Template, parse_template
from engine.plan import Reducer
from engine.priority import Priority
from engine.resolve import Resolver
from engine.rulefile import RuleFile, read_files
from engine.ruleset import Rule, RuleSet
from engine.selection import Selection, select
from engine.tree import Node
from engine.typed import FALSE, Checked

ENGINE_VERSION = "0.63.0"
"""Falco's engine version whose rule files are understood."""
_CONTAINER_INFO = "%container.info"


@dataclass(frozen=True, slots=True)
class AppendOutput:
    """
    One entry of ``append_output`` (spec: rule-language 5.4).

    Attributes:
        source, tags, rule: Which rules: source and rule exactly, all of the tags; empty for any.
        extra_output: Template appended to the message after a blank.
        extra_fields: (name, template) added to ``output_fields`` only.
        suggested: Whether the source's suggested fields are appended to the message.
    """

    source: str = ""
    tags: frozenset[str] = frozenset()
    rule: str = ""
    extra_output: str = ""
    extra_fields: tuple[tuple[str, str], ...] = ()
    suggested: bool = False

    def applies(self, rule: RuleDef, source: str) -> bool:
        """Tell whether the entry is for a rule."""
        return self.source in ("", source) and self.rule in ("", rule.name) and self.tags <= set(rule.tags)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """
    What the configuration says about rules.

    Attributes:
        min_priority: Less severe rules never run.
        selection: Ordered enable and disable entries.
        append_output: Additions to the outputs of rules.
    """

    min_priority: Priority = Priority.DEBUG
    selection: Sequence[Selection] = ()
    append_output: Sequence[AppendOutput] = ()


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A rule set, None if there was an error, and all findings."""

    ruleset: RuleSet | None
    report: Report


def load_rules(files: Sequence[RuleFile], catalog: FieldCatalog, options: LoadOptions | None = None) -> LoadResult:
    """
    Load rule files in order; later ones override earlier ones.

    Args:
        files: Names and texts.
        catalog: The fields of all sources.
        options: What the configuration says; by default all rules as they are.
    """
    options = options or LoadOptions()
    report = Report()
    collection = read_files(files, catalog.sources, report, ENGINE_VERSION, catalog.plugins)
    unread = any(found.code == "LOAD_ERR_YAML_PARSE" for found in report.errors)
    loader = _Loader(collection, catalog, options, report)
    rules = loader.rules()
    if unread:  # what seems undefined may well be defined in the file that is no YAML
        report.diagnostics = [found for found in report.diagnostics if found.slug != "undefined-macro"]
    if not report.errors:
        loader.unused()  # a rule that does not load may be the one that uses them
    return LoadResult(None if report.errors else loader.ruleset(rules), report)


@dataclass(slots=True)
class _Loader:
    collection: Collection
    catalog: FieldCatalog
    options: LoadOptions
    report: Report
    resolver: Resolver = field(init=False)
    _checkers: dict[tuple[str, bool], Checker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.resolver = Resolver(self.collection, self.report)
        self.resolver.macros()

    def rules(self) -> list[Rule]:
        found: list[Rule] = []
        for definition in self.collection.rules.values():
            if not definition.skipped:
                found += self._rule(definition)
        return found

    def _rule(self, definition: RuleDef) -> list[Rule]:
        try:
            tree = self.resolver.rule(definition)
        except Unresolved:
            return self._only_outputs(definition)
        every = definition.sources == ("any",)
        sources = self.catalog.sources if every else definition.sources
        partial = every or len(sources) > 1
        found = [rule for source in sources if (rule := self._for_source(definition, tree, source, partial))]
        if partial and not found and not any(d.item == ("rule", definition.name) for d in self.report.errors):
            message = f"rule '{definition.name}' can match in none of its sources"
            span = definition.at.span
            item = ("rule", definition.name)
            self.report.add(Diagnostic("never-matches", "LOAD_ERR_COMPILE_CONDITION", message, span, item=item))
        return found

    def _only_outputs(self, definition: RuleDef) -> list[Rule]:
        """Check the output of a rule whose condition is wrong, so that both are told in one go."""
        for source in definition.sources:
            if source in self.catalog.tables:
                here = Report()
                checker = self._checker(source, len(definition.sources) > 1)
                checker.begin(here, ("rule", definition.name))
                self._output(definition, checker)
                self._settle(definition, here)
        return []

    def _for_source(self, definition: RuleDef, tree: Node, source: str, partial: bool) -> Rule | None:
        here = Report()
        checker = self._checker(source, partial)
        checker.begin(here, ("rule", definition.name))
        condition = self._condition(tree, checker) if self._exceptions_sound(definition, checker) else None
        output = self._output(definition, checker)
        extra = self._extra_fields(definition, checker)
        if here.errors:
            self._settle(definition, here)
            return None
        assert condition is not None
        assert output is not None
        if partial and Reducer(checker.table, {}).reduce(condition) is FALSE:
            return None
        self._settle(definition, here)
        self._lint(definition, tree, condition, output, checker)
        return self._made(definition, source, tree, condition, output, extra)

    def _made(
        self,
        definition: RuleDef,
        source: str,
        tree: Node,
        condition: Checked,
        output: Template,
        extra: tuple[tuple[str, Template], ...],
    ) -> Rule:
        return Rule(
            definition.name,
            source,
            definition.priority,
            definition.desc,
            definition.tags,
            definition.enabled,
            definition.position,
            tree,
            condition,
            output,
            extra,
            definition,
        )

    def _exceptions_sound(self, definition: RuleDef, checker: Checker) -> bool:
        """Check the fields of exceptions, also of those without values; their errors have a code of their own."""
        before = len(checker.report.diagnostics)
        for entry in definition.exceptions:
            start = len(checker.report.diagnostics)
            for left in self.resolver.exception_fields(entry, checker.item):
                try:
                    checker.operand(left)
                except Rejected:
                    continue
            checker.report.diagnostics[start:] = [
                replace(found, code=VALIDATE, slug=f"exception-{found.slug}", item=("exception", entry.name))
                for found in checker.report.diagnostics[start:]
            ]
        return len(checker.report.diagnostics) == before

    def _condition(self, tree: Node, checker: Checker) -> Checked | None:
        try:
            return checker.condition(tree)
        except Rejected:
            return None

    def _output(self, definition: RuleDef, checker: Checker) -> Template | None:
        text = definition.output
        if _CONTAINER_INFO in text.text:
            text = self._without_container_info(text, definition)
        for addition in self._additions(definition, checker.table.source):
            if addition.extra_output:
                text = text.joined(SourceText(addition.extra_output, (0,), (("append_output", 1, 1),)))
            if addition.suggested:
                rows = [row for row in checker.table.fields.values() if row.suggested]
                shown = " ".join(f"{row.name.replace('.', '_')}=%{row.name}" for row in rows)
                text = text.joined(SourceText(shown, (0,), (("append_output", 1, 1),))) if shown else text
        try:
            return parse_template(text, checker)
        except Rejected:
            return None

    def _without_container_info(self, text: SourceText, definition: RuleDef) -> SourceText:
        start = text.text.index(_CONTAINER_INFO)
        span = text.span(start, start + len(_CONTAINER_INFO))
        message = f"{_CONTAINER_INFO} no longer stands for anything and is left out"
        item = ("rule", definition.name)
        self.report.add(Diagnostic("deprecated-output", "LOAD_DEPRECATED_ITEM", message, span, WARNING, item=item))
        blank = text.text.replace(_CONTAINER_INFO, "").strip()
        return SourceText(blank, (0,), (text.place(0),))

    def _additions(self, definition: RuleDef, source: str) -> list[AppendOutput]:
        return [addition for addition in self.options.append_output if addition.applies(definition, source)]

    def _extra_fields(self, definition: RuleDef, checker: Checker) -> tuple[tuple[str, Template], ...]:
        found: dict[str, Template] = {}
        for addition in self._additions(definition, checker.table.source):
            for name, text in addition.extra_fields:
                try:
                    found[name] = parse_template(SourceText(text, (0,), (("append_output", 1, 1),)), checker)
                except Rejected:
                    continue
        return tuple(found.items())

    def _settle(self, definition: RuleDef, here: Report) -> None:
        """Keep the findings of a rule; unknown names only cost the rule when it asks for that."""
        unknown = here.errors and all(d.slug in UNKNOWN for d in here.errors)
        for found in here.diagnostics:
            if unknown and definition.skip_if_unknown_filter:
                message = f"rule '{definition.name}' is left out: {found.message}"
                found = replace(found, code="LOAD_UNKNOWN_FILTER", severity=WARNING, message=message)
            self.report.add(found)

    def _checker(self, source: str, partial: bool) -> Checker:
        key = (source, partial)
        if key not in self._checkers:
            self._checkers[key] = Checker(self.catalog.tables[source], self.catalog, self.report, partial)
        return self._checkers[key]

    def _lint(self, rule: RuleDef, tree: Node, condition: Checked, output: Template, checker: Checker) -> None:
        for found in (
            *lint.conditions(tree, checker.table, rule),
            *lint.outputs(output, rule),
            *lint.too_many_event_types(condition, checker.table, rule),
        ):
            self.report.add(found)

    def unused(self) -> None:
        """Warn of macros and lists that nothing refers to."""
        for name, macro in self.collection.macros.items():
            if name not in self.resolver.used_macros:
                self._unused("macro", "LOAD_UNUSED_MACRO", name, macro.at.span)
        for name, entry in self.collection.lists.items():
            if name not in self.resolver.lists.used:
                self._unused("list", "LOAD_UNUSED_LIST", name, entry.at.span)

    def _unused(self, kind: str, code: str, name: str, span: Span) -> None:
        message = f"{kind} '{name}' is not used by any rule, macro or list"
        self.report.add(Diagnostic(f"unused-{kind}", code, message, span, WARNING, item=(kind, name)))

    def ruleset(self, rules: Sequence[Rule]) -> RuleSet:
        """Apply the selection and put the rules in order."""
        chosen = select(rules, self.options.min_priority, self.options.selection)
        ordered = sorted((replace(rule, enabled=rule.name in chosen) for rule in rules), key=lambda rule: rule.position)
        return RuleSet(tuple(ordered), self.collection, self.catalog, self._event_types(ordered))

    def _event_types(self, rules: Sequence[Rule]) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for rule in rules:
            if rule.enabled:
                types = lint.event_types(rule.condition, self.catalog.tables[rule.source])
                if types is not None:
                    found[rule.source] = found.get(rule.source, frozenset()) | types
        return found
