"""The reference evaluator is held against the C library where that has an opinion."""

import ctypes
import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.reference import fnmatch, getopt, pmatch
from tests.engine.strategies import GLOBS

FNM_CASEFOLD = 16

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
ascii_globs = GLOBS.filter(str.isascii)
names = st.text("abA/]*[!-", max_size=5)


@glibc
@given(ascii_globs, names, st.booleans())
def test_globs_match_what_the_c_library_matches(pattern: str, name: str, fold: bool) -> None:
    libc = ctypes.CDLL(None)
    same = libc.fnmatch(pattern.encode(), name.encode(), FNM_CASEFOLD if fold else 0) == 0
    assert fnmatch(pattern.encode(), name.encode(), fold) == same


def test_path_prefixes_ignore_empty_components() -> None:
    assert pmatch("/a//b/c", "a/b/")
    assert not pmatch("/ab/c", "/a")


def test_options_take_the_rest_of_a_word_or_the_next_one() -> None:
    argv = ["-vl8", "-l", "9", "-x", "-l"]
    assert getopt(argv, "l:v", None) == ["v", "l", "8", "l", "9", "?", ""]
    assert getopt(argv, "l:v", "l") == ""
