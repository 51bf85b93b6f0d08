from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine import yamlnodes
from engine.diagnostics import Report, SourceText
from engine.sourcefile import SourceFile, bad_character, trimmed
from engine.yamlnodes import MAX_ALIASED, MAX_DEPTH, Node, ScalarNode, compose
from engine.yamltext import scalar_text
from tests.shared import SHARED, needs_shared


def scalars(node: Node) -> Iterator[ScalarNode]:
    if isinstance(node, ScalarNode):
        yield node
    else:
        for item in node.items:
            yield from scalars(item)


def composed(text: str) -> tuple[SourceFile, list[ScalarNode], Report]:
    file, report = SourceFile.of("f.yaml", text), Report()
    documents = compose(file, report)
    return file, [node for document in documents for node in scalars(document)], report


def value_of(text: str) -> SourceText:
    """The text of the last scalar of a file."""
    file, nodes, report = composed(text)
    assert report.diagnostics == []
    return scalar_text(nodes[-1], file)


# (file, decoded value, {character: (line, column)}); each character is looked up where it first occurs.
PLACES = {
    "plain": ("- a: b c", "b c", {"b": (1, 6), "c": (1, 8)}),
    "plain over lines": ("- a: b  \n    c\n\n    d", "b c\nd", {"b": (1, 6), "c": (2, 5), "\n": (3, 1), "d": (4, 5)}),
    "plain behind an anchor and a tag": ("- a: &x !!str   b", "b", {"b": (1, 17)}),
    "plain behind a tag on the line before": ("- a: !t # why\n    b", "b", {"b": (2, 5)}),
    "single quotes": ("- a: 'b''c'", "b'c", {"b": (1, 7), "'": (1, 8), "c": (1, 10)}),
    "single quotes over lines": ("- a: 'b \n   c'", "b c", {" ": (1, 8), "c": (2, 4)}),
    "double quotes": (r'- a: "b\tc\x41d\u00e9e"', "b\tcAdée", {"\t": (1, 8), "A": (1, 11), "d": (1, 15), "e": (1, 22)}),
    "an escaped quote": (r'- a: "b \"c\" d"', 'b "c" d', {'"': (1, 9), "c": (1, 11), "d": (1, 15)}),
    "an escaped line end": ('- a: "b\\\n    c"', "bc", {"b": (1, 7), "c": (2, 5)}),
    "an escaped blank before a line end": ('- a: "b\\   \n  c"', "b  c", {"b": (1, 7), " ": (1, 8), "c": (2, 3)}),
    "literal": ("- a: |\n    b\n      c\n    d", "b\n  c\nd", {"b": (2, 5), "c": (3, 7), "d": (4, 5)}),
    "literal that keeps its end": (
        "- a: |+\n    b\n\n  c: d\n- a: |+\n    b\n\n",
        "b\n\n",
        {"b": (6, 5), "\n": (6, 6)},
    ),
    "literal with given indentation": ("- a: |1 # why\n     b\n   c", "  b\nc", {"b": (2, 6), "c": (3, 4)}),
    "folded": ("- a: >\n    b\n    c\n\n    d", "b c\nd", {"b": (2, 5), " ": (2, 6), "c": (3, 5), "d": (5, 5)}),
    "folded around indented lines": (
        "- a: >-\n   b\n     c\n   d",
        "b\n  c\nd",
        {"b": (2, 4), "c": (3, 6), "d": (4, 4)},
    ),
    "folded without end": ("- a: >-\n\n    b\n    c\n\n", "\nb c", {"b": (3, 5), "c": (4, 5)}),
    "wide characters": ("- a: 你 b", "你 b", {"你": (1, 6), "b": (1, 8)}),
    "characters beyond 16 bits": ("- a: 😀b", "😀b", {"😀": (1, 6), "b": (1, 7)}),
    "carriage returns": ("- a: b\r\n    c\r\n", "b c", {"b": (1, 6), "c": (2, 5)}),
    "a byte order mark": ("\ufeff- a: b", "b", {"b": (1, 6)}),
    "the second document": ("- a\n---\n- b", "b", {"b": (3, 3)}),
    "nothing": ("- a:", "", {}),
    "an empty string": ('- a: ""', "", {}),
}


@pytest.mark.parametrize(("text", "value", "places"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("loader", [yamlnodes._LOADER, yaml.BaseLoader], ids=["LibYAML", "pure Python"])
def test_every_character_has_the_place_it_was_read_from(loader, text, value, places, monkeypatch):
    monkeypatch.setattr(yamlnodes, "_LOADER", loader)
    found = value_of(text)

    assert found.text == value
    assert {c: found.place(found.text.index(c))[1:] for c in places} == places


def test_the_fast_loader_is_used_where_it_is_built():
    assert (yamlnodes._LOADER is getattr(yaml, "CBaseLoader", None)) == yaml.__with_libyaml__


def lost(file: SourceFile, node: ScalarNode) -> list[tuple[str, int, str]]:
    """The characters of a scalar whose place holds something else."""
    source, wrong = scalar_text(node, file), []
    assert source.text == node.value
    assert list(source.starts) == sorted(set(source.starts))
    assert source.starts[-1] <= max(0, len(source.text) - 1)
    for offset, character in enumerate(source.text):
        _, line, col = source.place(offset)
        there = (file.line(line) or "")[col - 1 : col]
        escaped = node.style == '"' and there == "\\"
        if not character.isspace() and there != character and not escaped:
            wrong.append((character, offset, there))
    return wrong


PIECES = [
    "a",
    "b ",
    " ",
    "  ",
    "\n",
    "\n  ",
    "\n    ",
    "\t",
    "'",
    "''",
    '"',
    '\\"',
    "\\",
    "\\n",
    "\\\n",
    "\\x41",
    "\\u00e9",
]
PIECES += ["é", "你", "😀", "#", ": ", "- ", "|", ">", "\r\n", "\x85", "\u2028"]


@st.composite
def files_with_a_scalar(draw: st.DrawFn) -> str:
    body = "".join(draw(st.lists(st.sampled_from(PIECES), max_size=14)))
    properties = draw(st.sampled_from(["", "&x ", "!!str ", "!t &y "]))
    block = (
        draw(st.sampled_from("|>")) + draw(st.sampled_from(["", "1", "2", "4"])) + draw(st.sampled_from(["", "-", "+"]))
    )
    indented = f"{block}\n    {body}".replace("\n", "\n    ")
    value = draw(st.sampled_from([body, f"'{body}'", f'"{body}"', indented]))
    return f"- a: {properties}{value}{draw(st.sampled_from(['', chr(10), chr(10) * 2]))}"


@given(files_with_a_scalar())
def test_no_character_is_lost_in_any_scalar(text: str):
    file, nodes, _ = composed(text)

    assert [lost(file, node) for node in nodes if not node.value.isspace()] == [
        [] for n in nodes if not n.value.isspace()
    ]


@given(st.text(st.sampled_from("- ab:'\"|>&*!?[]{},#%@`\t\n\\0\x85\u2028é"), max_size=60))
def test_any_text_gives_documents_or_one_finding_with_a_place(text: str):
    file, nodes, report = composed(text)

    assert len(report.diagnostics) <= (0 if nodes else 1)
    for diagnostic in report.diagnostics:
        assert 1 <= diagnostic.span.line <= len(file.starts)


@needs_shared
def test_every_character_of_falcos_rule_files_is_found():
    assert SHARED is not None
    paths = sorted(Path(SHARED, "falco-rules").rglob("*.yaml"))
    seen = 0
    for path in paths:
        file, nodes, _ = composed(path.read_text("utf-8"))
        for node in nodes:
            assert lost(file, node) == [], f"{path.name}: {node.value[:60]!r}"
            seen += len(node.value)

    assert len(paths) > 50
    assert seen > 400_000


BOMB = "- &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &{here} [{', '.join([f'*{before}'] * 10)}]\n" for before, here in zip("abcdefgh", "bcdefghi", strict=True)
)
WIDE_BOMB = f"- &a [{','.join('x' * 1000)}]\n" + "- *a\n" * 1000
REFUSED = {
    "a syntax error": ("- a: b: c", "yaml-syntax", "LOAD_ERR_YAML_PARSE", (1, 7), "put text that contains"),
    "a tab as indentation": ("- a: b\n\tc: d", "yaml-syntax", "LOAD_ERR_YAML_PARSE", (2, 1), "indent with blanks"),
    "a tab before a key": ("- a:\n  - b\n\t- c", "yaml-syntax", "LOAD_ERR_YAML_PARSE", (3, 1), "indent with blanks"),
    "a percent sign": (
        "- a: %b",
        "yaml-syntax",
        "LOAD_ERR_YAML_PARSE",
        (1, 6),
        "put text that begins with '%' in quotes",
    ),
    "an open quote": ("- a: 'b\n- c: d\n", "yaml-syntax", "LOAD_ERR_YAML_PARSE", (1, 6), ""),
    "wrong indentation": ("- a: b\n c: d", "yaml-syntax", "LOAD_ERR_YAML_PARSE", (2, 2), "check the indentation"),
    "an unknown alias": ("- a: *b", "unknown-alias", "LOAD_ERR_YAML_PARSE", (1, 6), "'*' begins an alias"),
    "an alias of another document": ("- &b c\n---\n- *b", "unknown-alias", "LOAD_ERR_YAML_PARSE", (3, 3), ""),
    "an alias inside of its anchor": ("- &a [x, *a]", "alias-loop", "LOAD_ERR_YAML_VALIDATE", (1, 10), ""),
    "flow sequences in each other": ("[" * 100_000, "too-deep", "LOAD_ERR_YAML_VALIDATE", (1, MAX_DEPTH + 1), ""),
    "flow mappings in each other": ("{a: " * 50_000, "too-deep", "LOAD_ERR_YAML_VALIDATE", (1, 4 * MAX_DEPTH + 1), ""),
    "block sequences in each other": ("- " * 50_000, "too-deep", "LOAD_ERR_YAML_VALIDATE", (1, 2 * MAX_DEPTH + 1), ""),
    "a billion laughs": (BOMB, "alias-bomb", "LOAD_ERR_YAML_VALIDATE", (5, 3), ""),
    "many aliases of one long text": (
        f'- &a "{"x" * 80_000}"\n' + "- *a\n" * 11,
        *("alias-bomb", "LOAD_ERR_YAML_VALIDATE", (1, 1), ""),
    ),
    "many aliases of one wide node": (WIDE_BOMB, "alias-bomb", "LOAD_ERR_YAML_VALIDATE", (1, 1), ""),
}


@pytest.mark.parametrize(("text", "slug", "code", "place", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_usable_yaml_is_one_finding(text, slug, code, place, hint):
    _, nodes, report = composed(text)

    (found,) = report.diagnostics
    assert nodes == []
    assert (found.slug, found.code, found.severity) == (slug, code, "error")
    assert (found.span.line, found.span.col) == place
    assert hint in found.hint


def test_aliases_over_several_documents_count_together():
    document = "---\n- &a [x, x, x, x, x, x, x, x, x, x]\n- [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
    _, _, report = composed(document * (MAX_ALIASED // 100 + 2))

    assert [d.slug for d in report.diagnostics] == ["alias-bomb"]


def test_long_lists_without_aliases_are_not_bounded():
    _, nodes, report = composed(f"- [{','.join(['x'] * (MAX_ALIASED + 10))}]")

    assert report.diagnostics == []
    assert len(nodes) == MAX_ALIASED + 10


CHARACTERS = {
    "an escape": ("- a: b\n- c: \x1b[31md", "control-character", (2, 6), r"\x1b"),
    "a NUL": ("- \x00", "control-character", (1, 3), r"\x00"),
    "a byte that is no UTF-8": (b"- a: \xff".decode("utf-8", "surrogateescape"), "not-utf-8", (1, 6), ""),
    "half a surrogate pair": ("- \ud800", "control-character", (1, 3), ""),
    "a noncharacter": ("- \ufffe", "control-character", (1, 3), ""),
}


@pytest.mark.parametrize(("text", "slug", "place", "hint"), CHARACTERS.values(), ids=CHARACTERS)
def test_characters_that_no_text_needs_are_refused(text, slug, place, hint):
    found = bad_character(SourceFile.of("f", text))

    assert found is not None
    assert (found.slug, found.code, (found.span.line, found.span.col)) == (slug, "LOAD_ERR_YAML_PARSE", place)
    assert hint in found.hint


def test_ordinary_text_of_all_scripts_passes():
    assert bad_character(SourceFile.of("f", "\ufeffaé你😀\t\r\n\x85\u2028~ ")) is None


TRIMMED = {
    "at both ends": ("- a: '  b c  '", "b c", (1, 9)),
    "across lines": ("- a: |\n\n   b\n   c\n\n", "b\nc", (3, 4)),
    "not at all": ("- a: b", "b", (1, 6)),
    "to nothing": ("- a: '   '", "", (1, 9)),
}


@pytest.mark.parametrize(("text", "value", "place"), TRIMMED.values(), ids=TRIMMED)
def test_trimming_keeps_places(text, value, place):
    found = trimmed(value_of(text))

    assert (found.text, found.place(0)[1:]) == (value, place)


def test_trimmed_text_of_several_lines_keeps_all_places():
    found = trimmed(value_of("- a: |1\n     b\n\n   c d\n"))

    assert [found.place(found.text.index(c))[1:] for c in "bcd"] == [(2, 6), (4, 4), (4, 6)]
