"""
YAML scalars to texts that know the place of every character.

What LibYAML made of a scalar is taken as it is; here only its way from the file is followed: folded lines, dropped
indentation, doubled quotes and escapes (YAML 1.1, chapter 9, as LibYAML reads it).
"""

import re
from collections.abc import Iterator

from engine.diagnostics import SourceText
from engine.sourcefile import SourceFile, SourceMap
from engine.yamlnodes import ScalarNode

_BREAKS = "\r\n\x85\u2028\u2029"
_BREAK = re.compile(f"\r\n|[{_BREAKS}]")
_FOLD = f"(?P<fold>[ \t]*(?:\r\n|[{_BREAKS}])[ \t{_BREAKS}]*)"
_JOINT = rf"(?P<joint>\\(?:\r\n|[{_BREAKS}])[ \t{_BREAKS}]*)"
_ESCAPE = r"(?P<escape>\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.))"


def _run(special: str = "") -> str:
    return rf"[^ \t{_BREAKS}{special}]+(?:[ \t]+[^ \t{_BREAKS}{special}]+)*|[ \t]+"


_FLOW = {
    "": re.compile(f"{_FOLD}|{_run()}"),
    "'": re.compile(f"{_FOLD}|(?P<escape>'')|{_run(chr(39))}"),
    '"': re.compile(f"{_JOINT}|{_ESCAPE}|{_FOLD}|{_run(chr(92) * 2)}"),
}
_PROPERTIES = re.compile(rf"(?:[&!]\S*\s+(?:#[^{_BREAKS}]*\s*)*)+")


def scalar_text(node: ScalarNode, file: SourceFile) -> SourceText:
    """Return the text of a scalar with the place of each of its characters in the file."""
    start = node.start
    if not node.value.strip():
        return SourceText(node.value, (0,), ((file.name, *file.place(start)),))
    if node.properties and (found := _PROPERTIES.match(file.text, start, node.end)):
        start = found.end()
    quoted = 1 if node.style in ("'", '"') else 0
    if node.style not in ("|", ">") and node.end - start - 2 * quoted == len(node.value):
        line, col = file.place(start + quoted)
        if file.place(node.end)[0] == line:
            return SourceText(node.value, (0,), ((file.name, line, col),))
    places = SourceMap(file)
    if node.style in ("|", ">"):
        _block(node, start, places)
    else:
        _flow(node, start + quoted, node.end - quoted, places)
    return places.source_text(node.value)


def _flow(node: ScalarNode, start: int, end: int, places: SourceMap) -> None:
    """Follow plain and quoted scalars: lines are folded, blanks around line ends are dropped, escapes decoded."""
    for found in _FLOW[node.style].finditer(places.file.text, start, end):
        match found.lastgroup:
            case "fold":
                breaks = _breaks(found)
                if found[0].lstrip(" \t")[0] in "\u2028\u2029":
                    _each(breaks, places)
                elif len(breaks) == 1:
                    places.add(1, found.start())
                else:
                    _each(breaks[1:], places)
            case "joint":
                _each(_breaks(found)[1:], places)
            case "escape":
                places.add(1, found.start())
            case _:
                places.add(len(found[0]), found.start())


def _breaks(found: re.Match[str]) -> list[int]:
    return [found.start() + line_end.start() for line_end in _BREAK.finditer(found[0])]


def _each(indices: list[int], places: SourceMap) -> None:
    for index in indices:
        places.add(1, index)


def _block(node: ScalarNode, start: int, places: SourceMap) -> None:
    """Follow literal and folded scalars: indentation is dropped, and line ends are folded between plain lines."""
    text = places.file.text
    _, *lines = _lines(text, start, node.end)  # the first one is the header
    indent = next((found for begin, end in lines if (found := _indent(text[begin:end], node.value)) is not None), 0)
    pending: list[int] = []
    foldable = False
    for begin, end in lines:
        if end > begin + indent:
            plain = text[begin + indent] not in " \t"
            if foldable and plain and text[pending[0]] not in "\u2028\u2029":
                _each(pending[1:] or pending, places)
            else:
                _each(pending, places)
            places.add(end - begin - indent, begin + indent)
            pending, foldable = [], node.style == ">" and plain
        pending.append(end)
    _each(pending[: max(0, len(node.value) - places.length)], places)


def _indent(line: str, value: str) -> int | None:
    """Return how many blanks indent a block scalar, told by its first line that is not blank; None for a blank line."""
    inner = line.lstrip(" ")
    if not inner:
        return None
    blanks = value[: len(value) - len(value.lstrip(" \n\u2028\u2029"))]
    return len(line) - len(inner) - len(_BREAK.split(blanks)[-1])


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each line, without its line end."""
    while start < end:
        found = _BREAK.search(text, start, end)
        yield start, found.start() if found else end
        start = found.end() if found else end
