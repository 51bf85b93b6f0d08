"""Whatever stands where something else is expected is told with a place in the text."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.diagnostics import SourceText
from engine.parser import parse_condition, parse_item, parse_left, parse_value, parse_values
from engine.syntax import ParseFailure

WORDS = (
    *("t.s", "t.k[a]", "t.k[", "m", "a", "5", "0x1f", "-1.5e+3", '"q"', "'q'", '"', "'", "=", "==", "!=", "<", ">="),
    *("in", "intersects", "pmatch", "contains", "regex", "exists", "oneof", "anyof", "(", ")", ",", "[", "]", "[a]"),
    *(
        "and",
        "or",
        "not",
        "AND",
        "NOT",
        "val(",
        "tolower(",
        "len (",
        "join(",
        "#",
        "%",
        "!",
        "~",
        "\u00a0",
        "\u201c",
        "é",
    ),
)
PARSERS: dict[str, Callable[[SourceText], Any]] = {
    "condition": parse_condition,
    "item": parse_item,
    "left": parse_left,
    "value": parse_value,
    "values": parse_values,
}
texts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(("", " ", "\n"))), min_size=1, max_size=9).map(
    lambda pairs: "".join(word + blank for word, blank in pairs)
)


@pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS)
@settings(max_examples=300)
@given(texts)
def test_any_words_are_parsed_or_refused_with_a_place_among_them(parse: Callable[[SourceText], Any], text: str) -> None:
    failure = _failure(parse, text)
    if failure is not None:
        found = failure.diagnostic
        assert found.message
        assert found.code == "LOAD_ERR_COMPILE_CONDITION"
        assert 1 <= found.span.col <= len(text) + 1  # past the end where something is missing there


def _failure(parse: Callable[[SourceText], Any], text: str) -> ParseFailure | None:
    try:
        parse(SourceText(text))
    except ParseFailure as failure:
        return failure
    return None
