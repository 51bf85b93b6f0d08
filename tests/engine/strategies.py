"""
Random conditions and events over the test source, for hypothesis.

Values come from small pools, so that comparisons often hold. ``source_text`` writes a tree as a condition.
"""

import re
from dataclasses import dataclass

from hypothesis import strategies as st

from engine.diagnostics import SourceText
from engine.event import Event
from engine.fields import Type
from engine.tree import (
    And,
    At,
    Compare,
    FieldRef,
    Items,
    Literal,
    Macro,
    MacroRef,
    Node,
    Not,
    Operand,
    Or,
    Transform,
    Values,
)
from tests.engine import testfields

AT = At(SourceText(""), 0, 0)

# Values of events

# No backslash alone: what it means at the end of a glob is nowhere said. No part of a character, none past the
# surrogates: text is compared by characters, bytes that are no UTF-8 count as one each.
ALPHABET = "abAB/*[]?!-. é\n\udcff"
POOL = (
    "",
    "a",
    "b",
    "ab",
    "abc",
    "A",
    "aB",
    "/a/b",
    "/a//b/",
    "a/b",
    "/",
    "one",
    "two",
    "10",
    "aGVsbG8=",
    "YQ",
    "é",
    "a\\b",
)
WORDS = ("-v", "-l", "-l8", "-vl", "--", "-", "--long", "", "8", "host", "-vx")

texts = st.sampled_from(POOL) | st.text(ALPHABET, max_size=4)
uints = st.sampled_from((0, 1, 2, 5, 10, 16, 2**64 - 1))
ints = st.sampled_from((-5, -1, 0, 1, 5, 16))
addresses = st.sampled_from(("10.0.0.1", "10.9.9.9", "192.168.0.1", "::1", "2001:db8::1"))
buffers = st.sampled_from(("", "00", "61", "6162", "00cafe01", "ff"))
pairs = st.tuples(addresses, addresses)
deep = (
    texts
    | st.sampled_from((None, True, 5, 1.5, []))
    | st.fixed_dictionaries({}, optional={"p": texts | st.none() | st.just(7), "q": texts | st.just({"r": "a"})})
)

VALUES = {
    "s": texts,
    "s2": texts,
    "deep": deep,
    "nev": st.sampled_from(("1", "2", "00")),
    "cnt": st.sampled_from((1, 2, 5)),
    "dom": st.sampled_from(("one", "two", "three")),
    "u": uints,
    "u2": uints,
    "i": ints,
    "d": st.sampled_from((0.0, 0.5, 1.0, 5.0, -1.0)),
    "b": st.booleans(),
    "ts": uints,
    "dt": uints,
    "port": st.sampled_from((0, 22, 443, 8080)),
    "ip": addresses,
    "ip2": addresses,
    "net": addresses,
    "buf": buffers,
    "ls": st.lists(st.sampled_from(("a", "b", "c")) | texts | st.sampled_from(WORDS), max_size=4),
    "ls2": st.lists(st.sampled_from(("a", "b", "c")) | texts, max_size=3),
    "lx": st.lists(texts, max_size=3),
    "lu": st.lists(uints, max_size=3),
    "lip": st.lists(addresses, max_size=3),
    "lnet": st.lists(addresses, max_size=3),
    "k": st.dictionaries(st.sampled_from(testfields.KEYS), texts, max_size=3),
    "any": st.lists(texts, max_size=3).map(tuple),
    "anc": st.lists(texts, max_size=3).map(tuple),
    "end": pairs,
    "endport": st.tuples(st.sampled_from((22, 443)), st.sampled_from((80, 443))),
    "endnet": pairs,
}


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Events of which any value may be absent, most are not."""
    absent = draw(st.sets(st.sampled_from(sorted(VALUES)), max_size=8))
    event = testfields.event(**{name: draw(found) for name, found in VALUES.items() if name not in absent})
    event.num = draw(st.integers(1, 3))
    return event


# Constants


def literal(value: str) -> Literal:
    """Make a literal of the kind that ``source_text`` writes it as."""
    bare = re.fullmatch(r"""[^()"'\s=,\\]+""", value) and value.isascii() and value not in ("oneof", "anyof", "allof")
    return Literal(value, "bare" if bare and value.isprintable() else "quoted", AT)


def number(value: str) -> Literal:
    return Literal(value, "number", AT)


UINTS = ("0", "1", "2", "5", "0x10", "010", "16", "18446744073709551615")
INTS = ("-5", "-1", "0", "1", "+5", "0x10")
NETS = ("10.0.0.0/8", "10.1.2.3/8", "0.0.0.0/0", "10.0.0.1/32", "2001:db8::/32", "::1/128", "192.168.0.0/16")
NUMBERS = {
    Type.UINT: st.sampled_from(UINTS),
    Type.ABSTIME: st.sampled_from(UINTS),
    Type.RELTIME: st.sampled_from(UINTS),
    Type.INT: st.sampled_from(INTS),
    Type.DOUBLE: st.sampled_from(("-1", "0", "1", "5")),
    Type.PORT: st.sampled_from(("0", "22", "443", "0x50")),
}
CONSTANTS = {
    **NUMBERS,
    Type.STRING: texts | st.sampled_from(WORDS),
    Type.PORT: NUMBERS[Type.PORT] | st.sampled_from(("ssh", "https")),
    Type.BOOL: st.sampled_from(("true", "false")),
    Type.IPADDR: addresses,
    Type.IPNET: st.sampled_from(NETS),
    Type.BYTES: st.sampled_from(("", "a", "ab", "\0", "\0\N{LATIN SMALL LETTER E WITH ACUTE}", "\udcff")),
}
HEX = st.sampled_from(("", "00", "CAFE", "cafe", "61", "ff"))
GLOBS = st.lists(
    st.sampled_from(
        ("*", "?", "a", "b", "A", "/", "[ab]", "[!a]", "[^b]", "[a-c]", "[[:digit:]]", "[]a]", "\\*", "[", "é")
    ),
    max_size=5,
).map("".join)
PATHS = st.lists(st.sampled_from(("/a", "/b", "/*", "/a*", "/[ab]", "/?", "//", "a", "/a/b")), max_size=3).map("".join)


def _regex_more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=2).map(lambda both: f"({both[0]}|{both[1]})")
        | st.tuples(inner, st.sampled_from(("*", "+", "?", "{1,2}"))).map(lambda both: f"({both[0]}){both[1]}")
    )


REGEXES = st.recursive(
    st.sampled_from(("a", "b", "/", ".", "[ab]", "[^a]", "é", r"\.", ".*", "")), _regex_more, max_leaves=5
)

# Operands


def _field(name: str, arg: str | None = None) -> FieldRef:
    return FieldRef(f"t.{name}", arg, AT)


def _call(name: str, *args: Operand | Items, selector: str | None = None) -> Transform:
    return Transform(name, args, selector, AT)


keys = st.sampled_from(testfields.KEYS)
plain_texts = (
    st.sampled_from(("s", "s2", "same", "x", "p", "q", "deep", "later", "nev")).map(_field)
    | keys.map(lambda key: _field("k", key))
    | st.sampled_from(("p", "q", "r")).map(lambda key: _field("kp", key))
)
text_lists = st.sampled_from(("ls", "ls2", "lx")).map(_field) | st.sampled_from("012").map(lambda n: _field("lx", n))
single_names = st.sampled_from(("tolower", "toupper", "basename", "b64"))
options: st.SearchStrategy[Operand] = st.sampled_from(("l:v", "vl", ":l:", "")).map(
    lambda text: Literal(text, "quoted", AT)
) | st.just(_field("s"))
separators = st.sampled_from(("-", "", ", ")).map(lambda text: Literal(text, "quoted", AT))
plain_numbers = st.sampled_from(("u", "u2", "i")).map(_field)


@st.composite
def _lists_of_operands(draw: st.DrawFn, text: st.SearchStrategy[Operand]) -> Items:
    one = text | plain_numbers | separators | st.just(number("7"))
    return Items(tuple(draw(st.lists(one, max_size=3))), AT)


def _more_texts(inner: st.SearchStrategy[Operand]) -> st.SearchStrategy[Operand]:
    return (
        st.builds(_call, single_names, inner)
        | st.builds(lambda one, two: _call("concat", one, two), inner, inner | separators)
        | st.builds(lambda sep, items: _call("join", sep, items), separators, _lists_of_operands(inner) | text_lists)
        | st.builds(
            lambda n, argv, opts: _call("getopt", argv, opts, selector=n), st.sampled_from("lv"), text_lists, options
        )
    )


text_operands: st.SearchStrategy[Operand] = st.recursive(plain_texts, _more_texts, max_leaves=3)
text_list_operands = (
    text_lists
    | st.builds(_call, single_names, text_lists)
    | st.builds(lambda argv, opts: _call("getopt", argv, opts), text_lists, options)
)
lengths = st.builds(
    lambda value: _call("len", value),
    text_operands | text_list_operands | st.sampled_from(("buf", "lu", "lip")).map(_field),
)


@dataclass(frozen=True)
class Kind:
    """What can stand on the left of an operator: operands of one type, the operators that go with them."""

    type: Type
    operands: st.SearchStrategy[Operand]
    operators: tuple[str, ...]
    right: bool = True


EQUAL = ("=", "!=", "in", "intersects")
ORDER = ("<", "<=", ">", ">=")
TEXT = ("contains", "icontains", "startswith", "endswith", "glob", "iglob", "regex", "pmatch")
BYTES = ("contains", "startswith", "endswith", "bcontains", "bstartswith")

KINDS = (
    Kind(Type.STRING, text_operands, EQUAL + ORDER + TEXT),
    Kind(Type.STRING, text_operands, EQUAL + ORDER + TEXT),
    Kind(Type.STRING, st.sampled_from((_field("any"), _field("anc"))), EQUAL + ORDER + TEXT, right=False),
    Kind(Type.STRING, st.sampled_from("012").map(lambda n: _field("anc", n)), EQUAL + TEXT, right=False),
    Kind(Type.UINT, st.sampled_from(("u", "u2", "cnt")).map(_field) | lengths, EQUAL + ORDER),
    Kind(Type.UINT, st.just(FieldRef("evt.num", None, AT)), EQUAL + ORDER),
    Kind(Type.INT, st.just(_field("i")), EQUAL + ORDER),
    Kind(Type.DOUBLE, st.just(_field("d")), EQUAL + ORDER),
    Kind(Type.ABSTIME, st.just(_field("ts")), EQUAL + ORDER),
    Kind(Type.RELTIME, st.just(_field("dt")), EQUAL + ORDER),
    Kind(Type.PORT, st.just(_field("port")), EQUAL + ORDER),
    Kind(Type.PORT, st.just(_field("endport")), EQUAL + ORDER, right=False),
    Kind(Type.BOOL, st.just(_field("b")), EQUAL),
    Kind(Type.IPADDR, st.sampled_from(("ip", "ip2")).map(_field), EQUAL),
    Kind(Type.IPADDR, st.just(_field("end")), EQUAL, right=False),
    Kind(Type.IPNET, st.sampled_from(("net", "endnet")).map(_field), EQUAL, right=False),
    Kind(Type.BYTES, st.just(_field("buf")) | st.just(_call("b64", _field("buf"))), EQUAL + BYTES),
)
LIST_KINDS = (
    Kind(Type.STRING, text_list_operands, ("in", "intersects")),
    Kind(Type.STRING, text_lists, ("contains",), right=False),
    Kind(Type.UINT, st.just(_field("lu")), ("in", "intersects")),
    Kind(Type.IPADDR, st.just(_field("lip")), ("in", "intersects")),
    Kind(Type.IPNET, st.just(_field("lnet")), ("in", "intersects"), right=False),
)
LIST_OPERATORS = ("in", "intersects", "pmatch")
PATTERNS = {"glob": GLOBS, "iglob": GLOBS, "regex": REGEXES, "pmatch": PATHS, "bcontains": HEX, "bstartswith": HEX}

# Comparisons


@st.composite
def comparisons(draw: st.DrawFn) -> Compare:
    """Comparisons that fit the types of the fields."""
    kind = draw(st.sampled_from(KINDS + LIST_KINDS))
    left = draw(kind.operands)
    assert isinstance(left, FieldRef | Transform)
    if draw(st.integers(0, 9)) == 0:
        return Compare(left, "exists", "", None, AT)
    op = draw(st.sampled_from(kind.operators))
    if kind.right and op not in ("pmatch", "regex") and draw(st.integers(0, 5)) == 0:
        right = draw(kind.operands)
        assert isinstance(right, FieldRef | Transform)
        return Compare(left, op, "", right, AT)
    return draw(_with_constants(kind.type, left, op))


@st.composite
def _with_constants(draw: st.DrawFn, kind: Type, left: FieldRef | Transform, op: str) -> Compare:
    if op in ORDER:
        # Text takes a number here as well, and compares it as text.
        return Compare(left, op, "", number(draw(NUMBERS.get(kind, st.sampled_from(("5", "10", "-1", "0x1"))))), AT)
    values = PATTERNS.get(op, CONSTANTS[kind]).map(literal)
    if op in LIST_OPERATORS:
        return Compare(left, op, "", Values(tuple(draw(st.lists(values, max_size=3))), None, AT), AT)
    modifier = draw(st.sampled_from(("", "", "", "oneof", "anyof", "allof")))
    if modifier and not _is_list(left):
        return Compare(left, op, modifier, Values(tuple(draw(st.lists(values, max_size=3))), None, AT), AT)
    return Compare(left, op, "", draw(values), AT)


def _is_list(left: FieldRef | Transform) -> bool:
    return isinstance(left, FieldRef) and testfields.TABLE.fields[left.name].is_list


@st.composite
def discriminating(draw: st.DrawFn) -> Compare:
    """Comparisons of the fields that rules are indexed by."""
    left = _field(draw(st.sampled_from(("s", "s2", "same"))))
    few = st.sampled_from(("a", "b", "ab", "")).map(literal)
    op = draw(st.sampled_from(("=", "!=", "in", "exists", "startswith")))
    if op == "exists":
        return Compare(left, op, "", None, AT)
    if op == "in":
        return Compare(left, op, "", Values(tuple(draw(st.lists(few, max_size=3))), None, AT), AT)
    return Compare(left, op, "", draw(few), AT)


@st.composite
def of_a_domain(draw: st.DrawFn) -> Compare:
    """Comparisons of a field with few values, some of which have synonyms."""
    op = draw(st.sampled_from(("=", "!=", "in")))
    values = st.sampled_from(("one", "two", "uno")).map(literal)
    if op == "in":
        return Compare(_field("dom"), op, "", Values(tuple(draw(st.lists(values, max_size=2))), None, AT), AT)
    return Compare(_field("dom"), op, "", draw(values), AT)


@st.composite
def decidable(draw: st.DrawFn) -> Compare:
    """Comparisons that the bounds of a field may decide before any event is seen."""
    left = draw(st.sampled_from((_field("cnt"), FieldRef("evt.num", None, AT), _field("nev"))))
    if left.name == "t.nev":
        return Compare(left, draw(st.sampled_from(("=", "!="))), "", literal(draw(st.sampled_from("01"))), AT)
    op = draw(st.sampled_from(("=", "!=", "exists", *ORDER)))
    value = draw(st.sampled_from("012"))
    if op == "exists":
        return Compare(left, op, "", None, AT)
    return Compare(left, op, "", number(value) if op in ORDER else literal(value), AT)


few = st.sampled_from(("", "a", "b", "ab", "abc"))
MODIFIABLE = ("=", "!=", "contains", "startswith", "endswith", "glob")


@st.composite
def modified(draw: st.DrawFn) -> Compare:
    """Comparisons with modifiers on texts of which several hold."""
    left = _field(draw(st.sampled_from(("s", "s2", "any"))))
    values = tuple(draw(st.lists(few.map(literal), min_size=1, max_size=3)))
    modifier = draw(st.sampled_from(("oneof", "anyof", "allof")))
    return Compare(left, draw(st.sampled_from(MODIFIABLE)), modifier, Values(values, None, AT), AT)


@st.composite
def of_several(draw: st.DrawFn) -> Compare:
    """Comparisons of fields with several values, of which some or all count."""
    name, values = draw(
        st.sampled_from((("any", few), ("anc", few), ("end", addresses), ("endnet", st.sampled_from(NETS))))
    )
    op = draw(st.sampled_from(EQUAL))
    if op in LIST_OPERATORS:
        right = Values(tuple(draw(st.lists(values.map(literal), max_size=2))), None, AT)
        return Compare(_field(name), op, "", right, AT)
    return Compare(_field(name), op, "", draw(values.map(literal)), AT)


@st.composite
def between_fields(draw: st.DrawFn) -> Compare:
    """Comparisons of a field with a field."""
    kind = draw(st.sampled_from([kind for kind in KINDS + LIST_KINDS if kind.right]))
    left, right = draw(kind.operands), draw(kind.operands)
    assert isinstance(left, FieldRef | Transform)
    assert isinstance(right, FieldRef | Transform)
    op = draw(st.sampled_from([op for op in kind.operators if op not in ("pmatch", "regex")]))
    return Compare(left, op, "", right, AT)


@st.composite
def between_lists(draw: st.DrawFn) -> Compare:
    """Comparisons of a list with a list that has elements in common with it."""
    return Compare(_field("ls"), draw(st.sampled_from(("in", "intersects"))), "", _field("ls2"), AT)


# Trees

LETTERS = "klmn"


def _more_nodes(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return (
        several.map(lambda items: And(items, AT))
        | several.map(lambda items: Or(items, AT))
        | inner.map(lambda item: Not(item, AT))
    )


def nodes(macros: int = 0) -> st.SearchStrategy[Node]:
    """Conditions that may use the first few macros."""
    leaves: st.SearchStrategy[Node] = st.one_of(
        comparisons(),
        comparisons(),
        discriminating(),
        of_a_domain(),
        decidable(),
        modified(),
        between_fields(),
        between_lists(),
        of_several(),
    )
    if macros:
        leaves |= st.sampled_from(LETTERS[:macros]).map(lambda name: MacroRef(name, AT))
    return st.recursive(leaves, _more_nodes, max_leaves=8)


@dataclass(frozen=True)
class RuleTexts:
    """Macros by name, in order, and the conditions of rules that may use them."""

    macros: dict[str, Node]
    rules: tuple[Node, ...]


@st.composite
def rule_texts(draw: st.DrawFn, most: int = 4) -> RuleTexts:
    """A few rules that share macros."""
    macros: dict[str, Node] = {}
    for count in range(draw(st.integers(0, 3))):
        macros[LETTERS[count]] = draw(nodes(count))
    rules = draw(st.lists(nodes(len(macros)), min_size=1, max_size=most))
    return RuleTexts(macros, tuple(rules))


def resolved(node: Node, macros: dict[str, Node]) -> Node:
    """Put the trees of macros in the place of their names."""
    match node:
        case And(items):
            return And(tuple(resolved(item, macros) for item in items), AT)
        case Or(items):
            return Or(tuple(resolved(item, macros) for item in items), AT)
        case Not(item):
            return Not(resolved(item, macros), AT)
        case MacroRef(name):
            return Macro(name, resolved(macros[name], macros), AT)
        case _:
            return node


# Text


def source_text(node: Node) -> str:
    """Write a condition so that reading it gives the same tree."""
    match node:
        case And(items):
            return f"({' and '.join(map(source_text, items))})"
        case Or(items):
            return f"({' or '.join(map(source_text, items))})"
        case Not(item):
            return f"not ({source_text(item)})"
        case MacroRef(name) | Macro(name):
            return name
        case Compare(left, op, _, None):
            return f"{operand(left)} {op}"
        case Compare(left, op, modifier, right):
            assert right is not None
            return " ".join(word for word in (operand(left), op, modifier, right_side(right)) if word)


def right_side(right: Literal | Values | FieldRef | Transform) -> str:
    if isinstance(right, Values):
        return f"({', '.join(map(operand, right.items))})"
    return f"val({operand(right)})" if isinstance(right, FieldRef) else operand(right)


def operand(node: Operand | Items) -> str:
    match node:
        case Literal(value, "quoted"):
            return quoted(value)
        case Literal(value):
            return value
        case FieldRef(name, None):
            return name
        case FieldRef(name, arg):
            bare = re.fullmatch(r"""[^]["'\s]+""", arg)
            return f"{name}[{arg if bare else quoted(arg)}]"
        case Transform(name, args, selector):
            shown = f"{name}({', '.join(map(operand, args))})"
            return shown if selector is None else f"{shown}[{selector}]"
        case Items(items):
            return f"({', '.join(map(operand, items))})"


def quoted(value: str) -> str:
    r"""Quote a text; what is not printable ASCII is written as the ``\xHH`` of its bytes."""
    shown = []
    for byte in value.encode("utf-8", "surrogateescape"):
        c = chr(byte)
        shown.append(f"\\{c}" if c in '"\\' else c if 32 <= byte < 127 else f"\\x{byte:02x}")
    return f'"{"".join(shown)}"'
