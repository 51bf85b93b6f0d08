"""Globs, path prefixes and regular expressions (spec: rule-language 2.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.globs import glob_regex
from engine.patterns import BadPattern, glob, pmatch, regex, simple_glob, utf8
from tests.engine.reference import fnmatch

GLOBS = [
    # pattern, texts that match, texts that do not
    ("", ["", ""], ["a"]),
    ("*", ["", "a", "a/b", "\n"], []),
    ("a*b", ["ab", "a/b", "axb", "abab"], ["a", "b", "abc", "Ab"]),
    ("?", ["a", "/", ".", "\n"], ["", "ab", "é"]),
    ("??", ["ab", "é"], ["a"]),
    ("*.log", [".log", "/a/b.log"], ["a.logs", "a.LOG"]),
    ("[abc]", ["a", "b", "c"], ["d", "", "ab", "[abc]"]),
    ("[a-c]x", ["ax", "cx"], ["dx", "-x"]),
    ("[!b]", ["a", "!", "\n"], ["b", ""]),
    ("[^b]", ["a", "^"], ["b", ""]),
    ("[a^]", ["a", "^"], ["b"]),
    ("[]a]", ["]", "a"], ["[]a]", "b"]),
    ("[!]a]", ["b"], ["]", "a"]),
    ("[]-a]", ["]", "^", "_", "`", "a"], ["b", "-"]),
    ("[a-]", ["a", "-"], ["b"]),
    ("[-a]", ["a", "-"], ["b"]),
    ("[c-a]", [], ["a", "b", "c", "-"]),
    (r"[\]]", ["]"], ["\\"]),
    (r"[a\-c]", ["a", "-", "c"], ["b", "\\"]),
    ("[[]", ["["], ["]"]),
    ("[[:digit:]]", ["7"], ["a", ":", "[[:digit:]]"]),
    ("[[:alpha:][:digit:]_]", ["a", "Z", "7", "_"], ["-", "é"]),
    ("[![:space:]]", ["a"], [" ", "\t", "\n"]),
    ("[[:xdigit:]]", ["f", "F", "0"], ["g"]),
    ("[[:punct:]]", ["!", "~", "_"], ["a", " "]),
    ("[[:cntrl:]]", ["\x01", "\x7f"], ["a"]),
    ("[[:blank:]]", [" ", "\t"], ["\n"]),
    ("[[:graph:]]", ["!"], [" "]),
    ("[[:print:]]", [" "], ["\t"]),
    ("[[:nonsense:]]", [], ["n", ":", "[:nonsense:]"]),
    ("[", ["["], ["", "a"]),
    ("[]", ["[]"], ["", "]"]),
    ("[!]", ["[!]"], ["a"]),
    ("a[b", ["a[b"], ["ab"]),
    ("[a-", ["[a-"], ["a"]),
    ("[[:digit:]", ["[:"], ["[", "7", "[[:digit:]"]),
    (r"\*", ["*"], ["a", r"\*"]),
    (r"\?", ["?"], ["a"]),
    (r"\[a]", ["[a]"], ["a"]),
    (r"\\", ["\\"], ["\\\\"]),
    (r"\a", ["a"], ["\\a"]),
    ("a\\", [], ["a", "a\\"]),
    ("é*", ["é", "éa"], ["e"]),
    ("[é]", [], ["é"]),
    ("[é][é]", ["é"], []),
    ("(a|b)+$^.{2}", ["(a|b)+$^.{2}"], ["a", "b"]),
]


@pytest.mark.parametrize(("pattern", "match", "differ"), GLOBS, ids=[repr(row[0]) for row in GLOBS])
def test_a_glob_matches_as_fnmatch_of_the_c_library(pattern: str, match: list[str], differ: list[str]) -> None:
    assert [text for text in (*match, *differ) if glob(pattern)(text)] == match


IGNORING_CASE = [
    ("*.LOG", ["a.log", "A.LoG"], ["a.lag"]),
    ("[A-C]", ["a", "b", "C"], ["d"]),
    ("[A-z]", ["a", "Z"], ["_", "^"]),
    ("[!a]", ["b"], ["a", "A"]),
    ("[Z-a]", [], ["z", "A", "_"]),
    ("É", ["É"], ["é"]),
    ("k", ["K"], ["\N{KELVIN SIGN}"]),
]


@pytest.mark.parametrize(("pattern", "match", "differ"), IGNORING_CASE, ids=[row[0] for row in IGNORING_CASE])
def test_iglob_ignores_the_case_of_ascii_letters(pattern: str, match: list[str], differ: list[str]) -> None:
    assert [text for text in (*match, *differ) if glob(pattern, True)(text)] == match


pieces = st.sampled_from(
    ("*", "?", "a", "B", "-", "/", "[", "]", "[!", "[^", "[a-", "[ab]", "]a", "\\", "[[:digit:]", "é", "!", "^")
)


@given(st.lists(pieces, max_size=8).map("".join), st.text("abAB-]![^\\/é\udcff7", max_size=5), st.booleans())
def test_any_text_is_a_glob_and_means_what_the_reference_says(pattern: str, text: str, fold: bool) -> None:
    assert glob(pattern, fold)(text) == fnmatch(utf8(pattern), utf8(text), fold)


@given(st.text("ab*?[\\", max_size=6), st.text("ab*?[\\", max_size=5))
def test_a_glob_with_stars_at_its_ends_is_a_plain_comparison(pattern: str, text: str) -> None:
    plain = simple_glob(pattern)
    if plain is not None:
        op, inner = plain
        found = {
            "=": text == inner,
            "startswith": text.startswith(inner),
            "endswith": text.endswith(inner),
            "contains": inner in text,
        }[op]
        assert found == glob(pattern)(text)


@pytest.mark.parametrize(
    ("pattern", "plain"),
    [
        ("abc", ("=", "abc")),
        ("abc*", ("startswith", "abc")),
        ("**abc", ("endswith", "abc")),
        ("*abc*", ("contains", "abc")),
        ("*", ("contains", "")),
        ("", ("=", "")),
        ("a*c", None),
        ("a?", None),
        ("[a]", None),
        ("a\\*", None),
    ],
)
def test_simple_globs_are_known(pattern: str, plain: tuple[str, str] | None) -> None:
    assert simple_glob(pattern) == plain


@pytest.mark.parametrize("pattern", ["[", "[\\]", "[[:q:]a", "[]", "[[:digit:]", "[a-\\]", "[!", "*a", "?*", "*"])
def test_reading_a_glob_is_linear_in_its_length(pattern: str) -> None:
    assert len(glob_regex(pattern * 2000, False).pattern) < 2000 * len(pattern) * 60


@pytest.mark.parametrize("pattern", ["*a" * 40 + "b", "*?a" * 40 + "b", "*[ab]" * 40 + "c", "*" * 40 + "a?" * 40 + "b"])
def test_many_stars_do_not_try_all_combinations(pattern: str) -> None:
    # With 40 stars and 3,000 characters a matcher that tries all combinations does not end in this world's time.
    assert not glob(pattern)("a" * 3000)
    assert not pmatch([f"/x/{pattern}"])("/x/" + "a" * 3000)


PATHS = [
    # paths of the rule, path of the event, whether it is below one of them
    (["/etc"], "/etc", True),
    (["/etc"], "/etc/passwd", True),
    (["/etc"], "/etcetera", False),
    (["/etc/"], "/etc", True),
    (["//etc//ssh/"], "/etc/ssh/x", True),
    (["etc"], "/etc/x", True),
    (["/etc/ssh"], "/etc", False),
    (["/"], "/anything", True),
    ([""], "", True),
    (["/"], "", True),
    (["/a"], "", False),
    ([], "/a", False),
    (["/a/../b"], "/b", False),
    (["/opt/*/bin"], "/opt/x/bin/tool", True),
    (["/opt/*/bin"], "/opt/x/y/bin", False),
    (["/opt/*/bin"], "/opt/x", False),
    (["/opt/a?"], "/opt/ab/c", True),
    (["/opt/di[!r]"], "/opt/dir/f", False),
    (["/opt/[ab]", "/opt/c*/d"], "/opt/cat/d/e", True),
    (["/opt/[ab]", "/opt/c*/d"], "/opt/cat/e", False),
    (["/a/b", "/a"], "/a/c", True),
    ([r"/a\*"], r"/a\*", False),
    ([r"/a\*"], "/a*", True),
]


@pytest.mark.parametrize(("paths", "text", "below"), PATHS)
def test_a_path_prefix_is_compared_component_by_component(paths: list[str], text: str, below: bool) -> None:
    assert pmatch(paths)(text) == below


REGEXES = [
    ("ab+", "abb", True),
    ("ab+", "xabb", False),
    ("ab+", "abbx", False),
    (".*ab+", "xabb", True),
    ("[0-9]{2}", "42", True),
    ("a|ab", "ab", True),
    (".*", "a\nb", False),
    ("a$\n^b", "a\nb", True),
    ("[[:alpha:]]+", "abc", True),
    (r"\.", ".", True),
    (r"\x41", "A", True),
    ("(a)(b)", "ab", True),
    ("A", "a", False),
    (".", "é", True),
    (".", "\udcff", True),
    (".", "\ud800", True),
    ("\N{REPLACEMENT CHARACTER}", "\udcff", True),
    ("", "", True),
]


@pytest.mark.parametrize(("pattern", "text", "found"), REGEXES)
def test_a_regular_expression_is_about_the_whole_text(pattern: str, text: str, found: bool) -> None:
    assert regex(pattern)(text) == found


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d",
        r"\w",
        r"\s",
        r"\b",
        r"\A",
        r"\pL",
        r"\Qa\E",
        "(?:a)",
        "(?i)a",
        "(?=a)",
        "(?P<n>a)",
        r"(a)\1",
        "[",
        "(",
        "a{1001}",
        "((a{100}){100}){100}",
        "\udcff",
        "\ud800(",
    ],
)
def test_what_posix_does_not_know_is_refused(pattern: str) -> None:
    with pytest.raises(BadPattern):
        regex(pattern)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|a)*b", "(a|aa)+$b", "(.*)*(.*)*(.*)*b", "(a?){500}a{500}b"])
def test_no_regular_expression_makes_the_matcher_try_all_combinations(pattern: str) -> None:
    # A backtracking matcher needs 2 ** 3000 steps for these.
    assert not regex(pattern)("a" * 3000)


def test_half_a_surrogate_pair_is_replaced_where_bytes_are_asked_for() -> None:
    assert utf8("a\ud800b\udfff\udcff") == b"a\xef\xbf\xbdb\xef\xbf\xbd\xff"
    assert glob("?")("\ud800") is False
    assert glob("???")("\ud800") is True
