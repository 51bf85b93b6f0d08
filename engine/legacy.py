"""
The line format of 2016 (spec: rule-language 6): macros and rules, one a line.

Its rules get the names ``legacy-<line>`` and their comment as description. Two things that it allowed cannot be said
today and are errors: a rule that uses a macro defined below it, and a macro redefined after a rule used it. Fewer
differences stay: lists, transformers and newer operators do not exist in it, and an output with an absent field is
printed with ``<NA>`` where it was left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.define import DEFAULT_SOURCE, KEYS, Definer
from engine.definitions import MacroDef, RuleDef
from engine.diagnostics import WARNING, Diagnostic, Report, SourceText
from engine.legacyline import BadLine, Line, read_line
from engine.priority import Priority
from engine.sourcefile import SourceFile, trimmed
from engine.tree import At

DEFAULT_OUTPUT = "%evt.time: %evt.num %evt.cpu %proc.name (%thread.tid) %evt.dir %evt.type %evt.args"
SYNTAX = "LOAD_ERR_COMPILE_CONDITION"
VALIDATE = "LOAD_ERR_VALIDATE"
YAML_VALIDATE = "LOAD_ERR_YAML_VALIDATE"

_YAML_STARTS = ("-", "[", "{")
_COMPARISON = re.compile(
    r"[A-Za-z_]\w*(?:\.\w+)+(?:\[[^\]]*\])?\s*(?:[=<>]|!=|(?:icontains|contains|in|exists)\b)", re.ASCII
)
_WORDS = re.compile(r"\s*(?:\w+\s*:)?[\w\s()]+(?:\|\s.*)?", re.ASCII)
_KEY = re.compile(r"\s*(\w+)\s*:")
_YAML_KEYS = frozenset().union(*KEYS.values())


def looks_legacy(text: str) -> bool:
    """
    Tell whether a file is of the format of 2016.

    Then no line begins as YAML sequences and the keys of rules do, and most lines could be conditions.
    """
    shaped = lines = 0
    compares = False
    for line in text.splitlines():
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        key = _KEY.match(bare)
        if bare.startswith(_YAML_STARTS) or (key is not None and key[1] in _YAML_KEYS):
            return False
        comparison = _COMPARISON.search(bare) is not None
        compares = compares or comparison
        shaped += comparison or _WORDS.fullmatch(bare) is not None
        lines += 1
    return compares and shaped * 2 >= lines


def read_legacy(file: SourceFile, definer: Definer, report: Report) -> None:
    """Read a file of the format of 2016 into a collection; each bad line is reported."""
    reader = _Reader(file, definer, report)
    for start, end, comment in _content(file):
        try:
            reader.line(read_line(file, start, end), comment)
        except BadLine as bad:
            reader.error("legacy-syntax", SYNTAX, bad.message, bad.start, bad.end, hint=bad.hint)
    reader.finish()


def _content(file: SourceFile) -> Iterator[tuple[int, int, str]]:
    """Yield begin and end of the lines that hold something, and the text of the comment right above."""
    comment: list[str] = []
    for number, start in enumerate(file.starts, 1):
        line = file.line(number) or ""
        bare = line.strip(" \t")
        if bare.startswith("#"):
            comment.append(bare.lstrip("#").strip())
            continue
        if bare:
            yield start, start + len(line.rstrip(" \t")), " ".join(filter(None, comment))
        comment.clear()


@dataclass(slots=True)
class _Reader:
    """
    What was read of one file.

    Attributes:
        defined: What each macro of the file uses, by name.
        used: Macros that rules so far use, directly or not.
        missing: Macros that a rule used when they were not defined: name, offsets, rule.
    """

    file: SourceFile
    definer: Definer
    report: Report
    defined: dict[str, tuple[str, ...]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    missing: list[tuple[str, int, int, str]] = field(default_factory=list)

    def line(self, line: Line, comment: str) -> None:
        if line.macro:
            self._macro(line)
        else:
            self._rule(line, comment)

    def _macro(self, line: Line) -> None:
        macros = self.definer.collection.macros
        old = macros.get(line.macro)
        if line.macro in self.used and old is not None and old.condition.text != line.condition.text:
            message = f"macro '{line.macro}' changes here, but a rule above uses it"
            hint = "macros cannot change between rules; give it another name"
            item = ("macro", line.macro)
            self.error("legacy-redefined", VALIDATE, message, line.name_start, line.name_end, item, hint)
        number = self.definer.next()
        at = At(self.file.piece(line.name_start, line.name_end), 0, line.name_end - line.name_start)
        first = old.first if old else number
        macros[line.macro] = MacroDef(line.macro, line.condition, at, first, number)
        self.defined[line.macro] = tuple(name for name, _, _ in line.uses)

    def _rule(self, line: Line, comment: str) -> None:
        name = self._rule_name(line)
        for used, start, end in line.uses:
            unknown = self._reach(used)
            self.missing += [(macro, start, end, name) for macro in unknown]
        rules = self.definer.collection.rules
        rules[name] = RuleDef(
            name,
            (DEFAULT_SOURCE,),
            line.condition,
            self._output(line),
            comment,
            self._priority(line, name),
            At(line.condition, 0, len(line.condition.text)),
            len(rules),
            skipped=self._skip_reason(line, name),
        )
        self.definer.next()

    def _reach(self, name: str) -> list[str]:
        """Note a macro and all that it uses as used, and return those that are not defined."""
        unknown: list[str] = []
        todo = [name]
        seen: set[str] = set()
        while todo:
            here = todo.pop()
            if here in seen:
                continue
            seen.add(here)
            if here in self.defined:
                todo += self.defined[here]
            elif here not in self.definer.collection.macros:
                unknown.append(here)
        self.used |= seen
        return unknown

    def _rule_name(self, line: Line) -> str:
        name = f"legacy-{self.file.place(line.name_start)[0]}"
        return f"{name} of {self.file.name}" if name in self.definer.collection.rules else name

    def _skip_reason(self, line: Line, name: str) -> str:
        if DEFAULT_SOURCE in self.definer.sources:
            return ""
        span = self.file.span(line.name_start, line.name_end)
        message = f"there is no source '{DEFAULT_SOURCE}', the rule is skipped"
        item = ("rule", name)
        self.report.add(Diagnostic("unknown-source", "LOAD_UNKNOWN_SOURCE", message, span, WARNING, item=item))
        return f"unknown source {DEFAULT_SOURCE}"

    def _priority(self, line: Line, rule: str) -> Priority:
        if line.priority is None:
            return Priority.WARNING
        word = self.file.text[slice(*line.priority)]
        for level in Priority:
            if level.name.startswith(word.upper()):
                return level
        hint = f"one of {', '.join(level.label for level in Priority)}, or the beginning of one"
        self.error("bad-priority", YAML_VALIDATE, f"'{word}' is no priority", *line.priority, ("rule", rule), hint)
        return Priority.WARNING

    def _output(self, line: Line) -> SourceText:
        output = trimmed(self.file.piece(*line.output))
        if output.text:
            return output
        return SourceText(DEFAULT_OUTPUT, (0,), ((self.file.name, *self.file.place(line.name_start)),))

    def finish(self) -> None:
        """Let every macro of the file see every other, and report rules that stand above a macro they use."""
        number = self.definer.next()
        for name in self.defined:
            self.definer.collection.macros[name].latest = number
        for name, start, end, rule in self.missing:
            if name in self.defined:
                message = f"macro '{name}' is defined below the rule that uses it"
                self.error("legacy-order", VALIDATE, message, start, end, ("rule", rule), "move the macro up")

    def error(
        self,
        slug: str,
        code: str,
        message: str,
        start: int,
        end: int,
        item: tuple[str, str] = ("", ""),
        hint: str = "",
    ) -> None:
        self.report.add(Diagnostic(slug, code, message, self.file.span(start, end), hint=hint, item=item))
