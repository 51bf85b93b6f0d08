"""
Bytes to JSON values: bounded inflation and tolerant decoding, shared by all sources that read payloads.

Whatever comes in, the only exceptions are PayloadError and ValueError, and what could be read is not lost
(spec: ingest A1.5).
"""

import io
import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from isal import isal_zlib

MAX_BYTES = 256 << 20
"""Default bound of an inflated payload, bytes."""
MAX_RATIO = 200
"""Default bound of inflated size over received size; CloudTrail files have about 9."""

_FREE_BYTES = 1 << 20  # small payloads may be of any ratio: a page of blanks is no bomb
_MAX_LAYERS = 2  # Firehose can compress what CloudWatch has compressed already
_FIRST_STEP, _LAST_STEP = 512, 16384  # input per inflate call: small at first, as members can be tiny
_GZIP = b"\x1f\x8b"
_InflateError: type[Exception] = isal_zlib.IsalError  # type: ignore[assignment]  # its stub says instance, not class
_REFUSED = {b"\x28\xb5\x2f\xfd": "zstd", b"PAR1": "parquet"}


class PayloadError(Exception):
    """
    A payload cannot be read, or not to its end.

    Attributes:
        slug: ``truncated-gzip``, ``bad-gzip``, ``bomb``, ``too-large``, or ``unsupported:`` followed by ``zstd``,
            ``parquet`` or ``nested-gzip``.
        detail: For people.
        partial: What could be inflated; b"" when there is nothing of use.
    """

    def __init__(self, slug: str, detail: str, partial: bytes = b"") -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug = slug
        self.detail = detail
        self.partial = partial


def inflate(data: bytes, max_bytes: int = MAX_BYTES, max_ratio: int = MAX_RATIO) -> bytes:
    """
    Return the plain bytes of a payload, told by its magic number and not by name or header.

    Raises:
        PayloadError: The payload is damaged, too large, or of a kind that is not read.
    """
    limit = min(max_bytes, max(len(data) * max_ratio, _FREE_BYTES))
    damage: PayloadError | None = None
    for _ in range(_MAX_LAYERS):
        if data[:2] != _GZIP:
            break
        try:
            data = _gunzip(data, limit)
        except PayloadError as error:
            damage, data = error.with_traceback(None), error.partial  # else it and this frame keep each other alive
    _refuse(data, max_bytes)
    if damage:
        raise PayloadError(damage.slug, damage.detail, data)
    return data


def _refuse(data: bytes, max_bytes: int) -> None:
    for magic, name in {**_REFUSED, _GZIP: "nested-gzip"}.items():
        if data.startswith(magic):
            raise PayloadError(f"unsupported:{name}", f"the payload is {name}, which is not read")
    if len(data) > max_bytes:
        raise PayloadError("too-large", f"{len(data)} bytes are more than the {max_bytes} allowed")


def _gunzip(data: bytes, limit: int) -> bytes:
    """Inflate all members of one gzip layer."""
    out: list[bytes] = []
    size = at = 0
    while data[at : at + 2] == _GZIP:
        start, step = at, _FIRST_STEP
        member = isal_zlib.decompressobj(31)
        while not member.eof:
            if at >= len(data):
                raise PayloadError("truncated-gzip", f"the gzip data ends early, at byte {len(data)}", b"".join(out))
            try:
                out.append(member.decompress(data[at : at + step]))
            except _InflateError as error:
                out.append(_salvage(data[start : at + step], at - start))
                raise PayloadError("bad-gzip", f"{error}, near byte {at}", b"".join(out)) from None
            size += len(out[-1])
            if size > limit:
                raise PayloadError("bomb", f"{len(data)} bytes inflate to more than the {limit} allowed")
            at += step
            step = min(2 * step, _LAST_STEP)
        at = min(at, len(data)) - len(member.unused_data)
    if data[at:].strip(b"\0"):
        raise PayloadError("bad-gzip", f"no gzip data from byte {at} on", b"".join(out))
    return b"".join(out)


def _salvage(member: bytes, good: int) -> bytes:
    """Return what the bytes after the good ones still give; a failed call keeps its output, so they go one by one."""
    again = isal_zlib.decompressobj(31)
    again.decompress(member[:good])
    out = []
    try:
        for at in range(good, len(member)):
            out.append(again.decompress(member[at : at + 1]))  # noqa: PERF401 - the list must survive the error
    except _InflateError:
        pass
    return b"".join(out)


_UNKNOWN_EFFORT = 1 << 16  # characters, for errors that do not say how far they have read
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_NOT_BLANK = re.compile("[^ \t\r\n\ufeff]")
_NOT_BETWEEN = re.compile("[^ \t\r\n\ufeff,\\]}]")  # between the elements of a list that lost its beginning
_NEST = 500
_OPENING = re.compile(r'(?:[\[{][ \t]*+|"(?:[^"\\\n]|\\.)*+"[ \t]*+:[ \t]*+)*+')  # of values in values, on one line

_fast_decode = msgspec.json.Decoder().decode


def decode_json(data: bytes) -> Any:
    """
    Decode one JSON document, strictly at first and then forgiving its encoding.

    Bytes that are no UTF-8 and lone surrogates become U+FFFD; a byte order mark and UTF-16 are accepted; of equal keys
    the last one counts.

    Raises:
        ValueError: It is no JSON, nested too deeply, or holds NaN, an infinity or a number of absurd length.
    """
    try:
        return _fast_decode(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        return _parse(text_of(data))


def text_of(data: bytes) -> str:
    """Decode JSON bytes as UTF-8, UTF-16 or UTF-32, by their first bytes; what is no text becomes U+FFFD."""
    return data.decode(json.detect_encoding(data), "replace")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"number {text[:20]} is out of range")
    return number


_tolerant = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def _parse(text: str) -> Any:
    try:
        value = _tolerant.decode(text)
        return _whole(value) if _SURROGATE_ESCAPE.search(text) else value
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(_reason(error)) from None


def _whole(value: Any) -> Any:
    """Replace lone surrogates, which nothing could write out as UTF-8."""
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).partition(":")[0]  # the advice about Python settings that follows is for programmers


class Item(NamedTuple):
    """
    One value of a stream, or one place where there is none.

    Attributes:
        where: Where it begins, for people: ``line 3 column 1``.
        value: The decoded value; None when there is an error.
        error: Why there is no value, and where reading failed; "" when there is one.
    """

    where: str
    value: Any
    error: str = ""


def _never(value: Any) -> bool:
    return False


def json_values(data: bytes, plausible: Callable[[Any], bool] = _never) -> Iterator[Item]:
    """
    Yield the JSON values of a stream, one per line, concatenated, or spread over lines.

    After an error the next value is the first object that starts a line, or stands anywhere and is ``plausible``: so a
    bad value costs itself alone, and records inside a broken or cut-off list are found.
    """
    offset = 0
    for number, line in enumerate(io.BytesIO(data), 1):
        if not line.isspace():
            try:
                value = _fast_decode(line)
            except (ValueError, RecursionError):
                yield from _Scan(text_of(data[offset:]), number, plausible).items()
                return
            yield Item(f"line {number}", value)
        offset += len(line)


class _Text(str):
    """Text that says it has no lines: JSONDecodeError counts them from the start, which makes many errors quadratic."""

    __slots__ = ()

    def count(self, *args: Any) -> int:
        return 0

    def rfind(self, *args: Any) -> int:
        return -1


class _Scan:
    """A pass over text that finds values between things that are none."""

    def __init__(self, text: str, line: int, plausible: Callable[[Any], bool]) -> None:
        self.text = _Text(text)
        self.plausible = plausible
        self.between = _NOT_BLANK
        self.surrogates = bool(_SURROGATE_ESCAPE.search(text))
        self.effort = 8 * len(text) + _FREE_BYTES  # bounds how often hostile text is read again
        self.line, self.line_start, self.counted = line, 0, 0
        self.failed_at = 0

    def items(self) -> Iterator[Item]:
        """Yield values, and one error for each stretch without any."""
        lost, told = False, -1
        at = self.next_value(0)
        while at < len(self.text):
            value, end, error = self.decode(at)
            if not error and (not lost or self.resumes(at, value)):
                lost = False
                yield Item(self.where(at), value)
                at = self.next_value(end)
                continue
            if not lost:
                lost = True
                self.between = _NOT_BETWEEN
                if self.failed_at != told:  # a broken element breaks its list too
                    told = self.failed_at
                    yield Item(self.where(at), None, error + self.failing(at))
            if self.effort < 0:
                yield Item(self.where(at), None, "too much broken JSON, the rest is left out")
                return
            at = self.next_object(end)

    def decode(self, at: int) -> tuple[Any, int, str]:
        """Return (value, end, ""), or (None, where to look on, reason)."""
        try:
            value, end = _tolerant.raw_decode(self.text, at)
            return (_whole(value) if self.surrogates else value), end, ""
        except json.JSONDecodeError as error:
            self.effort -= error.pos - at
            self.failed_at = error.pos
            return None, at + 1, error.msg
        except RecursionError as error:
            self.effort -= _UNKNOWN_EFFORT
            self.failed_at = at
            return None, self.past_nest(at), _reason(error)
        except ValueError as error:
            self.effort -= _UNKNOWN_EFFORT
            self.failed_at = at
            return None, at + 1, _reason(error)

    def past_nest(self, at: int) -> int:
        """Return where a nest of hundreds of values in values is opened to its end; without one, the next place."""
        nest = _OPENING.match(self.text, at)
        end = nest.end() if nest else at
        return end if sum(str.count(self.text, bracket, at, end) for bracket in "[{") >= _NEST else at + 1

    def resumes(self, at: int, value: Any) -> bool:
        """Whether a value found after an error can be trusted to be one of the stream's."""
        return self.text[at - 1] == "\n" or self.plausible(value)

    def where(self, at: int) -> str:
        """Return line and column; asked for in ascending order, so that each character is counted once."""
        self.line += str.count(self.text, "\n", self.counted, at)
        self.line_start = max(self.line_start, str.rfind(self.text, "\n", self.counted, at) + 1)
        self.counted = at
        return f"line {self.line} column {at - self.line_start + 1}"

    def failing(self, at: int) -> str:
        """Return where reading failed, when that is not where the value begins, whose place was just asked for."""
        if self.failed_at == at:
            return ""
        line = self.line + str.count(self.text, "\n", at, self.failed_at)
        start = max(self.line_start, str.rfind(self.text, "\n", at, self.failed_at) + 1)
        return f" at line {line} column {self.failed_at - start + 1}"

    def next_value(self, at: int) -> int:
        """Return where the next character stands that may begin a value."""
        found = self.between.search(self.text, at)
        return found.start() if found else len(self.text)

    def next_object(self, at: int) -> int:
        """Return where the next opening brace stands."""
        found = self.text.find("{", at)
        return len(self.text) if found < 0 else found
