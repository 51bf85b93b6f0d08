"""
The condition language once more: a plain, slow evaluator that walks syntax trees.

Written from the specification (rule-language 2.3 - 2.8, 1.5) and nothing else; it shares no code with the compiler, so
that the two can be held against each other. It takes resolved trees (``Macro`` nodes) that are known to be correct.
"""

import base64
import ipaddress
import json
import re
import string
from collections.abc import Callable, Sequence
from typing import Any

from engine.event import Event
from engine.fields import Arg, Field, FieldTable, Match, Type
from engine.tree import (
    And,
    Compare,
    FieldRef,
    Items,
    Literal,
    Macro,
    Node,
    Not,
    Operand,
    Or,
    Transform,
    Values,
)

SERVICES = {"ssh": 22, "http": 80, "https": 443}


def evaluate(node: Node, event: Event, table: FieldTable) -> bool:
    """Tell whether a condition holds for an event."""
    match node:
        case And(items):
            return all(evaluate(item, event, table) for item in items)
        case Or(items):
            return any(evaluate(item, event, table) for item in items)
        case Not(item):
            return not evaluate(item, event, table)
        case Macro(_, body):
            return evaluate(body, event, table)
        case Compare():
            return Comparison(event, table).holds(node)
        case _:
            raise AssertionError(f"not resolved: {node}")


class Comparison:
    """One comparison on one event."""

    def __init__(self, event: Event, table: FieldTable) -> None:
        self.event = event
        self.table = table

    def holds(self, node: Compare) -> bool:
        left = self.value(node.left)
        if left is None:
            return False
        if node.op == "exists":
            return True
        if isinstance(node.right, FieldRef | Transform):
            return self.with_field(node, left, self.value(node.right))
        return self.with_constants(node, left)

    # Values

    def value(self, operand: Operand) -> Any:
        match operand:
            case Literal(text, "number"):
                return number(text)
            case Literal(text):
                return text
            case FieldRef():
                return self.field_value(operand)
            case Transform():
                return self.transformed(operand)

    def field_value(self, ref: FieldRef) -> Any:
        row, arg = self.row(ref)
        if row.path is not None:
            return at_path(self.event.record, row.path)
        if row.get is None:
            return None
        if row.arg is Arg.NONE:
            return row.get(self.event)
        if arg is not None and row.arg is not Arg.KEY and arg.isdigit():
            return row.get(self.event, int(arg))
        return row.get(self.event, arg)

    def row(self, ref: FieldRef) -> tuple[Field, str | None]:
        found = self.table.find(ref.name)
        assert found is not None, ref.name
        row, dotted = found
        return row, ref.arg if dotted is None else dotted

    def transformed(self, node: Transform) -> Any:
        if node.name == "join":
            return self.joined(node)
        values = [self.items(arg) if isinstance(arg, Items) else self.value(arg) for arg in node.args]
        if any(value is None for value in values):
            return None
        if node.name == "concat":
            return "".join(values)
        if node.name == "getopt":
            return getopt(values[0], values[1], node.selector)
        if node.name == "len":
            return len(values[0]) if isinstance(values[0], list | tuple | bytes) else len(octets(values[0]))
        return mapped(SINGLE[node.name], values[0])

    def items(self, node: Items) -> list[Any] | None:
        values = [self.value(item) for item in node.items]
        return None if any(value is None for value in values) else values

    def joined(self, node: Transform) -> str | None:
        first, second = node.args
        assert not isinstance(first, Items)
        separator = self.value(first)
        values = self.items(second) if isinstance(second, Items) else self.value(second)
        if separator is None or values is None:
            return None
        return str(separator).join(str(value) for value in values)

    # Types

    def kind(self, operand: Operand) -> Type:
        match operand:
            case FieldRef():
                return self.row(operand)[0].type
            case Transform("len"):
                return Type.UINT
            case Transform("join" | "concat" | "getopt"):
                return Type.STRING
            case Transform(_, args):
                assert not isinstance(args[0], Items)
                return self.kind(args[0])
            case Literal():
                raise AssertionError("a constant is never on the left")

    def many(self, operand: Operand) -> Match:
        return self.row(operand)[0].match if isinstance(operand, FieldRef) else Match.ONE

    # Comparing

    def with_field(self, node: Compare, left: Any, right: Any) -> bool:
        if right is None:
            return False
        if isinstance(left, list | tuple):
            if node.op == "in":
                return all(item in right for item in left)
            assert node.op == "intersects", node.op
            return any(item in right for item in left)
        op = "=" if node.op in ("in", "intersects") else node.op
        return compare(op, self.kind(node.left), left, right)

    def with_constants(self, node: Compare, left: Any) -> bool:
        kind = self.kind(node.left)
        literals = node.right.items if isinstance(node.right, Values) else (node.right,)
        synonyms = self.row(node.left)[0].synonyms if isinstance(node.left, FieldRef) else {}
        texts = [synonyms.get(item.value, item.value) for item in literals if isinstance(item, Literal)]
        constants = [constant(text, kind, node.op) for text in texts]
        match self.many(node.left):
            case Match.ANY if isinstance(left, tuple):
                return any(with_list(node, kind, one, constants) for one in left)
            case Match.ENDPOINT if isinstance(left, tuple):
                hits = [with_list(node, kind, one, constants) for one in left]
                return all(hits) if node.op == "!=" else any(hits)
        if isinstance(left, list | tuple):
            return list_with(node.op, kind, left, constants)
        return with_list(node, kind, left, constants)


def at_path(record: Any, path: Sequence[str]) -> str | None:
    """Read a text field in place; what is no text is shown as JSON, null is absent (fields 9, Q1)."""
    for key in path:
        if not isinstance(record, dict) or key not in record:
            return None
        record = record[key]
    if record is None or isinstance(record, str):
        return record
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def with_list(node: Compare, kind: Type, value: Any, constants: list[Any]) -> bool:
    """Compare one value with constants (2.4, 2.6)."""
    if node.op in ("in", "intersects"):
        return any(compare("=", kind, value, item) for item in constants)
    if node.op == "pmatch":
        return any(pmatch(value, item) for item in constants)
    return counted(node.modifier, [compare(node.op, kind, value, item) for item in constants])


def list_with(op: str, kind: Type, values: Sequence[Any], constants: list[Any]) -> bool:
    """Compare a list with constants (2.5); "contains" asks some element, as rules of old engine versions mean it."""
    if op == "contains":
        return any(compare(op, kind, value, constants[0]) for value in values)
    hits = [any(compare("=", kind, value, item) for item in constants) for value in values]
    return all(hits) if op == "in" else any(hits)


def counted(modifier: str, hits: list[bool]) -> bool:
    match modifier:
        case "oneof":
            return sum(hits) == 1
        case "anyof":
            return any(hits)
        case "allof":
            return bool(hits) and all(hits)
        case _:
            (hit,) = hits
            return hit


def compare(op: str, kind: Type, value: Any, other: Any) -> bool:
    """Compare one value with one of the same type, or with a network."""
    if kind is Type.IPNET:
        inside = len(value) * 8 == other.max_prefixlen and ipaddress.ip_address(value) in other
        return inside if op == "=" else not inside
    match op:
        case "=":
            return bool(value == other)
        case "!=":
            return bool(value != other)
    if kind is Type.STRING:
        return text_compare(op, value, other)
    if kind is Type.BYTES:
        return bytes_compare(op, value, other)
    return ordered(op, value, other)


def ordered(op: str, value: Any, other: Any) -> bool:
    return bool({"<": value < other, "<=": value <= other, ">": value > other, ">=": value >= other}[op])


def bytes_compare(op: str, value: bytes, other: bytes) -> bool:
    match op:
        case "contains" | "bcontains":
            return other in value
        case "startswith" | "bstartswith":
            return value[: len(other)] == other
        case "endswith":
            return value.endswith(other)
        case _:
            raise AssertionError(op)


def text_compare(op: str, value: str, other: str) -> bool:
    if op in ("<", "<=", ">", ">="):
        return ordered(op, octets(value), octets(other))
    match op:
        case "contains":
            return octets(other) in octets(value)
        case "icontains":
            return octets(lowered(other)) in octets(lowered(value))
        case "startswith":
            return octets(value).startswith(octets(other))
        case "endswith":
            return octets(value).endswith(octets(other))
        case "glob":
            return fnmatch(octets(other), octets(value))
        case "iglob":
            return fnmatch(octets(other), octets(value), fold=True)
        case "regex":
            readable = octets(value).decode("utf-8", "replace")
            return re.fullmatch(other, readable, re.MULTILINE) is not None
        case _:
            raise AssertionError(op)


# Constants


def constant(text: str, kind: Type, op: str) -> Any:
    if op in ("bcontains", "bstartswith"):
        return bytes.fromhex(text)
    match kind:
        case Type.STRING:
            return text
        case Type.BYTES:
            return octets(text)
        case Type.BOOL:
            return {"true": True, "false": False}[text]
        case Type.IPADDR:
            return ipaddress.ip_address(text).packed
        case Type.IPNET:
            return ipaddress.ip_network(text, strict=False)
        case Type.PORT:
            return SERVICES[text] if text in SERVICES else number(text or "0")
        case Type.DOUBLE:
            return float(text)
        case _:
            return number(text)


def number(text: str) -> int:
    return int(text, 16) if "x" in text.lower() else int(text)


# Transformers


def octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def lowered(text: str) -> str:
    return "".join(c.lower() if c in string.ascii_uppercase else c for c in text)


def raised(text: str) -> str:
    return "".join(c.upper() if c in string.ascii_lowercase else c for c in text)


def decoded(value: str | bytes) -> str | bytes | None:
    text = value if isinstance(value, bytes) else octets(value)
    body = text.rstrip(b"=")
    if re.fullmatch(rb"[A-Za-z0-9+/]*", body) is None or len(body) % 4 == 1:
        return None
    # Of the last character two or four bits belong to no byte when the length is no multiple of four.
    spare = {0: b"A-Za-z0-9+/", 2: b"AQgw", 3: b"AEIMQUYcgkosw048"}[len(body) % 4]
    if body and re.fullmatch(rb"[" + spare + rb"]", body[-1:]) is None:
        return None
    found = base64.b64decode(body + b"=" * (-len(body) % 4))
    return found if isinstance(value, bytes) else found.decode("utf-8", "surrogateescape")


SINGLE: dict[str, Callable[[Any], Any]] = {
    "tolower": lowered,
    "toupper": raised,
    "b64": decoded,
    "basename": lambda path: path.split("/")[-1],
}


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return function(value)
    results = [function(item) for item in value]
    return None if any(item is None for item in results) else results


def getopt(argv: Sequence[str], optstring: str, selector: str | None) -> Any:
    """Read options as 1.5 says; with a selector the last value of that option."""
    wanted: dict[str, bool] = {}
    letters = optstring[1:] if optstring.startswith(":") else optstring
    for at, letter in enumerate(letters):
        if letter != ":":
            wanted[letter] = letters[at + 1 : at + 2] == ":"
    seen: list[str] = []
    values: dict[str, str] = {}
    words = list(argv)
    while words and words[0].startswith("-") and words[0] not in ("-", "--"):
        word = words.pop(0)
        if word.startswith("--"):
            continue
        cluster = list(word[1:])
        while cluster:
            letter = cluster.pop(0)
            if letter not in wanted:
                seen.append("?")
            elif not wanted[letter]:
                seen.append(letter)
                values[letter] = letter
            elif cluster or words:
                value = "".join(cluster) or words.pop(0)
                cluster = []
                seen += [letter, value]
                values[letter] = value
            else:
                seen.append("")
                values[letter] = ""
    if selector is not None:
        return values.get(selector)
    return seen or None  # an empty list counts as absent (fields 0)


# Patterns


def pmatch(path: str, prefix: str) -> bool:
    """Tell whether the components of a pattern begin those of a path."""
    parts = [part for part in path.split("/") if part]
    wanted = [part for part in prefix.split("/") if part]
    if len(wanted) > len(parts):
        return False
    return all(component(pattern, part) for pattern, part in zip(wanted, parts, strict=False))


def component(pattern: str, part: str) -> bool:
    if any(c in pattern for c in "?*["):
        return fnmatch(octets(pattern), octets(part))
    return pattern == part


def fnmatch(pattern: bytes, text: bytes, fold: bool = False) -> bool:
    """Match a whole text by POSIX fnmatch with flags 0, byte by byte in the C locale; ``fold`` ignores case."""
    reach = {0}  # offsets into the text that the pattern read so far can end at
    at = 0
    while at < len(pattern) and reach:
        if pattern[at : at + 1] == b"*":
            reach = set(range(min(reach), len(text) + 1))
            at += 1
            continue
        members, at = one_byte(pattern, at, fold)
        reach = {offset + 1 for offset in reach if offset < len(text) and text[offset] in members}
    return len(text) in reach


ALL = frozenset(range(256))


def one_byte(pattern: bytes, at: int, fold: bool) -> tuple[frozenset[int], int]:
    """Return the bytes that the element at an offset matches, and the offset after it."""
    c = pattern[at : at + 1]
    if c == b"?":
        return ALL, at + 1
    if c == b"\\":
        # A lone backslash at the end matches nothing.
        return either_case(pattern[at + 1 : at + 2], fold), at + 2
    if c == b"[":
        bracket = bracketed(pattern, at + 1, fold)
        if bracket is not None:
            return bracket
    return either_case(c, fold), at + 1


def either_case(members: bytes, fold: bool) -> frozenset[int]:
    return frozenset(members.lower() + members.upper() if fold else members)


CLASSES = {
    b"alpha": string.ascii_letters,
    b"digit": string.digits,
    b"alnum": string.ascii_letters + string.digits,
    b"upper": string.ascii_uppercase,
    b"lower": string.ascii_lowercase,
    b"space": " \t\n\r\f\v",
    b"blank": " \t",
    b"punct": string.punctuation,
    b"print": string.ascii_letters + string.digits + string.punctuation + " ",
    b"graph": string.ascii_letters + string.digits + string.punctuation,
    b"cntrl": "".join(map(chr, [*range(32), 127])),
    b"xdigit": string.hexdigits,
}


def bracketed(pattern: bytes, at: int, fold: bool) -> tuple[frozenset[int], int] | None:
    """Read a bracket expression after its ``[``; None when it has no end, so that the ``[`` is a plain byte."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members: set[int] = set()
    first = True
    while first or pattern[at : at + 1] != b"]":
        first = False
        named = re.compile(rb"\[:([a-z]+):\]").match(pattern, at)
        if named and named[1] in CLASSES:
            members.update(either_case(CLASSES[named[1]].encode(), fold))
            at = named.end()
            continue
        bounds, at = bracket_range(pattern, at)
        if bounds is None:
            return None
        low, high = (bound.lower() if fold else bound for bound in bounds)
        members.update(either_case(bytes(range(low[0], high[0] + 1)), fold))
    return (ALL - members if negated else frozenset(members)), at + 1


def bracket_range(pattern: bytes, at: int) -> tuple[tuple[bytes, bytes] | None, int]:
    low, at = bracket_byte(pattern, at)
    high = low
    if pattern[at : at + 1] == b"-" and pattern[at + 1 : at + 2] not in (b"", b"]"):
        high, at = bracket_byte(pattern, at + 1)
    return ((low, high) if low and high else None), at


def bracket_byte(pattern: bytes, at: int) -> tuple[bytes, int]:
    at += pattern[at : at + 1] == b"\\"
    return pattern[at : at + 1], at + 1
