"""Payloads: bounded inflation, tolerant decoding, values between things that are none."""

import gc
import gzip
import json
import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.payload import Item, PayloadError, decode_json, inflate, json_values

PLAIN = json.dumps([{"id": random.Random(1).getrandbits(64), "at": at} for at in range(3000)]).encode()
PACKED = gzip.compress(PLAIN)


def refused(data: bytes, max_bytes: int = 1 << 28, max_ratio: int = 200) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        inflate(data, max_bytes, max_ratio)
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        PACKED,
        gzip.compress(PACKED),
        gzip.compress(PLAIN[:700]) + gzip.compress(PLAIN[700:]),
        gzip.compress(b"") * 3 + PACKED,
        PACKED + b"\0" * 512,
    ],
    ids=["plain", "gzip", "two layers", "two members", "empty members", "padded"],
)
def test_payloads_are_inflated_by_what_they_are(data: bytes) -> None:
    assert inflate(data) == PLAIN


def test_a_payload_may_be_empty() -> None:
    assert inflate(b"") == b""
    assert inflate(gzip.compress(b"")) == b""


@pytest.mark.parametrize("cut", [1, 8, 100, len(PACKED) // 2, len(PACKED) * 3 // 4])
def test_truncated_gzip_gives_all_that_came(cut: int) -> None:
    error = refused(PACKED[:-cut])
    assert error.slug == "truncated-gzip"
    assert PLAIN.startswith(error.partial)
    assert len(error.partial) >= len(PLAIN) * (len(PACKED) - cut) // len(PACKED) // 2


def test_a_wrong_checksum_costs_nothing_of_the_content() -> None:
    error = refused(PACKED[:-8] + b"\1\2\3\4" + PACKED[-4:])
    assert (error.slug, error.partial) == ("bad-gzip", PLAIN)


def test_what_stands_before_damage_is_kept() -> None:
    middle = len(PACKED) // 2
    error = refused(PACKED[:middle] + b"\xff\xff\xff\xff\xff\xff\xff\xff" + PACKED[middle + 8 :])
    assert error.slug == "bad-gzip"
    assert error.partial[: len(PLAIN) // 3] == PLAIN[: len(PLAIN) // 3]


def test_what_follows_gzip_data_is_told() -> None:
    error = refused(PACKED + b"more")
    assert (error.slug, error.partial) == ("bad-gzip", PLAIN)
    assert f"byte {len(PACKED)}" in error.detail


def test_damage_inside_the_second_layer_is_told() -> None:
    error = refused(gzip.compress(PACKED[:-10]))
    assert error.slug == "truncated-gzip"
    assert PLAIN.startswith(error.partial)
    assert len(error.partial) > len(PLAIN) // 2


def test_a_bomb_is_refused_by_ratio_and_by_size() -> None:
    bomb = gzip.compress(b"0" * 5_000_000)
    assert refused(bomb, max_ratio=100).slug == "bomb"
    assert refused(bomb, max_bytes=4_999_999, max_ratio=100_000).slug == "bomb"
    assert refused(gzip.compress(bomb), max_ratio=100).slug == "bomb"
    assert len(inflate(bomb, max_ratio=100_000)) == 5_000_000


def test_a_small_payload_may_have_any_ratio() -> None:
    assert len(inflate(gzip.compress(b" " * 900_000), max_ratio=9)) == 900_000


def test_plain_data_is_bounded_too() -> None:
    assert refused(PLAIN, max_bytes=1000).slug == "too-large"


@pytest.mark.parametrize(
    ("data", "slug"),
    [
        (b"\x28\xb5\x2f\xfd....", "unsupported:zstd"),
        (b"PAR1....PAR1", "unsupported:parquet"),
        (gzip.compress(b"PAR1....", mtime=0), "unsupported:parquet"),
        (gzip.compress(gzip.compress(PACKED), mtime=0), "unsupported:nested-gzip"),
    ],
)
def test_other_kinds_are_refused_by_their_magic_number(data: bytes, slug: str) -> None:
    assert refused(data).slug == slug


@given(st.binary(max_size=200), st.integers(0, 5000))
def test_no_damage_raises_anything_else(noise: bytes, at: int) -> None:
    for data in (noise, b"\x1f\x8b" + noise, PACKED[:at] + noise + PACKED[at + len(noise) :]):
        with suppress(PayloadError):
            inflate(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "é"}'.encode("utf-16"), {"a": "é"}),
        (b'{"a": "\xff"}', {"a": "\N{REPLACEMENT CHARACTER}"}),
        (b'{"\\ud800": ["\\udc80x", {"a": "\\ud83d\\ude00"}]}', {"\ufffd": ["\ufffdx", {"a": "\U0001f600"}]}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
    ],
    ids=["json", "byte order mark", "utf-16", "no utf-8", "lone surrogates", "equal keys", "long number"],
)
def test_json_is_decoded_with_forgiveness_for_its_encoding(data: bytes, value: object) -> None:
    assert decode_json(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * 10_000,
        b'{"a":' * 10_000,
        b'"\xff' + b"[" * 10_000,
        b'{"a": "\xff", "b": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"a": 1} {"b": 2}',
        b"\x00\x01\x02",
    ],
)
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_json(data)


def values(data: bytes) -> list[object]:
    return [item.value for item in json_values(data) if not item.error]


def errors(data: bytes) -> list[Item]:
    return [item for item in json_values(data) if item.error]


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}\n{"b": 2}\n{"c": 3}\n',
        b'{"a": 1}\r\n\r\n{"b": 2}\r\n{"c": 3}',
        b'{"a":1}{"b":2}{"c":3}',
        b'{"a": 1}\n{"b":2} {"c":3}',
        b'{\n  "a": 1\n}\n{\n  "b": 2\n}\n{\n  "c": 3\n}\n',
        b'\xef\xbb\xbf{"a":1}\n{"b":2}\n{"c":3}',
        '{"a":1}\n{"b":2}\n{"c":3}'.encode("utf-16"),
    ],
    ids=["lines", "crlf", "concatenated", "mixed", "indented", "byte order mark", "utf-16"],
)
def test_streams_of_all_layouts_give_their_values(data: bytes) -> None:
    assert values(data) == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert not errors(data)


def test_a_blank_stream_has_no_values() -> None:
    assert list(json_values(b" \n\n")) == list(json_values(b"")) == []


@pytest.mark.parametrize(
    "bad",
    [
        b"nonsense",
        b'{"x": }',
        b'{"x": ',
        b'{"x": NaN}',
        b"[" * 10_000,
        b'{"x": ' + b"9" * 5000 + b"}",
        b'{"x": "',
        b"}}}",
    ],
)
def test_a_bad_line_costs_itself_alone(bad: bytes) -> None:
    data = b'{"a": 1}\n' + bad + b'\n{"b": 2}\n{"c": 3}\n'
    assert values(data) == [{"a": 1}, {"b": 2}, {"c": 3}]
    (error,) = errors(data)
    assert error.where == "line 2 column 1"


def test_errors_tell_where_reading_failed() -> None:
    assert errors(b'{"a": 1}\n{"b": 2}\n{"c": nope}\n') == [
        Item("line 3 column 1", None, "Expecting value at line 3 column 7")
    ]
    assert errors(b'{\n "a": 1,\n "b" 2\n}') == [
        Item("line 1 column 1", None, "Expecting ':' delimiter at line 3 column 6")
    ]


def test_values_tell_where_they_stand() -> None:
    assert [item.where for item in json_values(b'{"a":1}\n{"b":2}{"c":3}\n\n{"d":4}')] == [
        "line 1",
        "line 2 column 1",
        "line 2 column 8",
        "line 4 column 1",
    ]


def test_plausible_values_are_found_inside_a_list_that_is_cut_off() -> None:
    data = b'{"Records": [{"id": 1, "x": {"y": 2}}, {"id": 2}, {"id": 3, "x": {"y"'
    found = list(json_values(data, lambda value: "id" in value))
    assert [item.value for item in found if not item.error] == [{"id": 1, "x": {"y": 2}}, {"id": 2}]
    assert sum(bool(item.error) for item in found) == 1


def test_a_broken_element_of_a_list_costs_itself_alone() -> None:
    data = b'[{"id": 1},\n {"id": 2 "x": {"y": 1}},\n {"id": 3}, {"id": 4}]'
    found = list(json_values(data, lambda value: "id" in value))
    assert [item.value for item in found if not item.error] == [{"id": 1}, {"id": 3}, {"id": 4}]
    assert [item.error for item in found if item.error] == ["Expecting ',' delimiter at line 2 column 11"]


@pytest.mark.parametrize("bad", [b'{"a":[\n', b'{"a":x}\n', b"[1,\n", b"[\n"], ids=repr)
def test_much_broken_json_ends(bad: bytes) -> None:
    found = list(json_values(bad * 200_000 + b'{"a":1}'))
    assert found[0].error


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3), max_size=8))
def test_any_concatenation_of_objects_is_taken_apart(objects: list[dict[str, object]]) -> None:
    for separator in ("", "\n", " \n\t"):
        assert values(separator.join(json.dumps(each) for each in objects).encode()) == objects


@given(st.binary(max_size=60))
def test_noise_never_raises(noise: bytes) -> None:
    for data in (noise, b'{"a":1}\n' + noise, noise + b'\n{"a":1}'):
        list(json_values(data))


@pytest.mark.parametrize(
    "data", [gzip.compress(bytes(4 << 20)), gzip.compress(bytes(1 << 20))[:-10]], ids=["bomb", "cut"]
)
def test_what_is_refused_is_let_go_at_once(data: bytes) -> None:
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(PayloadError) as refused:
            inflate(data, max_bytes=2 << 20, max_ratio=10_000)
        del refused
        assert not [one for one in gc.get_objects() if isinstance(one, PayloadError)]
    finally:
        gc.enable()
