"""
Comparisons as Python expressions: one function an operator family, with constants and with another field.

An expression holds names only: of the value, made by the caller, and of constants, made by the ``Namer``.
"""

from typing import Any, Protocol

from engine.fields import Type
from engine.patterns import glob, regex, simple_glob
from engine.transformers import lower
from engine.typed import Test


class Namer(Protocol):
    """Gives a constant a name that generated code can use."""

    def constant(self, value: Any, prefix: str = "C") -> str:
        """Return the name."""


def with_list(test: Test, name: str, namer: Namer) -> str:
    """Compare a list value: all elements (``in``) or some (``intersects``) are among the constants."""
    if test.left.type is Type.IPNET:
        quantifier = "all" if test.op == "in" else "any"
        return f"{quantifier}(NETS(x, {namer.constant(test.constants)}) for x in {name})"
    if test.op == "contains":
        return f"any({namer.constant(test.constants[0])} in x for x in {name})"
    values = namer.constant(test.prepared)
    return f"{values}.issuperset({name})" if test.op == "in" else f"not {values}.isdisjoint({name})"


def with_constants(test: Test, name: str, namer: Namer) -> tuple[str, bool]:
    """
    Compare a single value with constants.

    Returns:
        The expression, and whether None makes it false; such an expression begins with the name.
    """
    if test.op == "pmatch":
        return f"{namer.constant(test.prepared, 'f')}({name})", False
    if test.op in ("in", "intersects") or (test.op, test.modifier) == ("=", "anyof"):
        return _among(test, name, namer)
    if not test.modifier:
        return _one(test.op, test.left.type, test.constants[0], name, namer)
    return _modified(test, name, namer), False


def _among(test: Test, name: str, namer: Namer) -> tuple[str, bool]:
    if test.left.type is Type.IPNET:
        return f"NETS({name}, {namer.constant(test.constants)})", False
    return f"{name} in {namer.constant(test.prepared)}", True


def _one(op: str, kind: Type, constant: Any, name: str, namer: Namer) -> tuple[str, bool]:
    if op in ("glob", "iglob"):
        shape = simple_glob(constant) if op == "glob" else None
        if shape is not None:
            return _one(shape[0], kind, shape[1], name, namer)
        return f"{namer.constant(glob(constant, op == 'iglob'), 'f')}({name})", False
    if op == "regex":
        return f"{namer.constant(regex(constant), 'f')}({name})", False
    if op == "icontains":
        return f"{namer.constant(lower(constant))} in LOWER({name})", False
    if kind is Type.IPNET:
        return f"{'not ' * (op == '!=')}NET({name}, {namer.constant(constant)})", False
    return _plain(op, name, namer.constant(constant)), op == "="


def _plain(op: str, name: str, constant: str) -> str:
    match op:
        case "=":
            return f"{name} == {constant}"
        case "contains" | "bcontains":
            return f"{constant} in {name}"
        case "startswith" | "bstartswith":
            return f"{name}.startswith({constant})"
        case "endswith":
            return f"{name}.endswith({constant})"
        case _:
            return f"{name} {op} {constant}"


def _modified(test: Test, name: str, namer: Namer) -> str:
    if test.modifier == "anyof" and test.op in ("startswith", "endswith", "bstartswith"):
        return _plain(test.op, name, namer.constant(test.constants))
    each = [_one(test.op, test.left.type, constant, name, namer)[0] for constant in test.constants]
    match test.modifier:
        case "anyof":
            return f"({' or '.join(each)})"
        case "allof":
            return f"({' and '.join(each)})"
        case _:
            return f"sum(({''.join([f'{one}, ' for one in each])})) == 1"


def with_field(test: Test, left: str, right: str, namer: Namer) -> str:
    """Compare two values of one type."""
    if test.left.is_list:
        return f"set({right}).issuperset({left})" if test.op == "in" else f"not set({right}).isdisjoint({left})"
    match test.op:
        case "in" | "intersects":
            return f"{left} == {right}"
        case "icontains":
            return f"LOWER({right}) in LOWER({left})"
        case "glob" | "iglob":
            return f"{namer.constant(glob, 'f')}({right}, {test.op == 'iglob'})({left})"
        case _:
            return _plain(test.op, left, right)
