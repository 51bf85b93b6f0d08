"""Libraries that only some outputs want."""

import pytest

from lanner.outputs.libraries import library


def test_a_missing_library_is_told_with_what_brings_it() -> None:
    with pytest.raises(ValueError, match=r"the package no_such_package is missing: pip install 'lanner\[nats\]'"):
        library("no_such_package.client", "nats")
