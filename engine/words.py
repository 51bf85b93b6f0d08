"""The words of conditions, for those who look at them without parsing: operators by family, modifiers, quotes."""

import re

EQUALITIES = ("=", "!=")
ORDERS = ("<", "<=", ">", ">=")
LIST_OPS = ("in", "intersects", "pmatch")
"""Operators with a list on the right."""
WORD_OPS = (
    *("contains", "icontains", "startswith", "endswith", "glob", "iglob", "regex"),
    *("bcontains", "bstartswith"),
)
OPERATORS = (*EQUALITIES, *ORDERS, "exists", *LIST_OPS, *WORD_OPS)
MODIFIERS = ("oneof", "anyof", "allof")

QUOTED_OR_PAREN = re.compile(r""""[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*'|["'].*|[()]""", re.DOTALL)
"""A quoted string, a quote that is not closed with all that follows, or a parenthesis."""
