import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ingest.payload import PayloadError, decode_json
from lanner import payloads
from lanner.files import Unreadable, read_events
from lanner.formats import tell
from lanner.payloads import Piece, find, pieces
from tests.lanner.support import audit_event, ct_record


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def cut(data: bytes) -> list[Piece]:
    return list(pieces(io.BytesIO(data), lambda _size: None))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "_PIECE", 1000)
    monkeypatch.setattr(payloads, "_READ", 100)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: gzip.compress(gzip.compress(data))])
def test_one_record_per_line_is_read_in_pieces_of_whole_lines(pack) -> None:  # type: ignore[no-untyped-def]
    data = lines(*({"n": n, "text": "x" * 50} for n in range(100)))
    found = cut(pack(data))
    assert len(found) > 1
    assert b"".join(piece.data for piece in found) == data
    assert all(piece.data.endswith(b"\n") for piece in found)
    for piece in found:
        assert json.loads(piece.data.splitlines()[0])["n"] == piece.line - 1


@pytest.mark.usefixtures("small_pieces")
def test_any_other_document_is_read_whole() -> None:
    data = json.dumps({"Records": [{"n": n, "text": "x" * 50} for n in range(100)]}, indent=1).encode()
    assert cut(data) == [Piece(data, 1)]


@pytest.mark.usefixtures("small_pieces")
def test_a_line_longer_than_a_piece_stays_whole() -> None:
    data = lines({"n": 1}, {"text": "x" * 5000}, {"n": 2})
    assert b"".join(piece.data for piece in cut(data)) == data


@pytest.mark.usefixtures("small_pieces")
def test_a_document_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MAX_BYTES", 3000)
    with pytest.raises(PayloadError, match="too-large"):
        cut(b"[" + b" " * 5000)


def test_members_of_gzip_and_padding() -> None:
    members = gzip.compress(b'{"a": 1}\n') + gzip.compress(b'{"b": 2}\n') + b"\0" * 100
    assert cut(members) == [Piece(b'{"a": 1}\n{"b": 2}\n', 1)]


@pytest.mark.parametrize(
    ("damage", "slug"),
    [
        (lambda packed: packed[:-4], "truncated-gzip"),
        (lambda packed: packed + b"garbage" * 9, "bad-gzip"),
    ],
)
def test_what_is_before_the_damage_is_given(damage, slug: str) -> None:  # type: ignore[no-untyped-def]
    found = pieces(io.BytesIO(damage(gzip.compress(b'{"a": 1}\n'))), lambda _size: None)
    assert next(found).data == b'{"a": 1}\n'
    with pytest.raises(PayloadError) as error:
        next(found)
    assert error.value.slug == slug


def test_progress_counts_stored_bytes() -> None:
    packed, sizes = gzip.compress(b"x" * 10_000), []
    list(pieces(io.BytesIO(packed), sizes.append))
    assert sum(sizes) == len(packed)


def test_files_of_a_folder_come_sorted_and_without_others(tmp_path: Path) -> None:
    for name in ("b.json", "a.log.gz", "c.jsonl", "d.ndjson", "e.txt", "f.json.bz2", "sub/a.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "gone.json").symlink_to("nowhere")
    found = find([str(tmp_path), "-"])
    assert [Path(one.path).name for one in found] == ["a.log.gz", "b.json", "c.jsonl", "d.ndjson", "a.json", "-"]
    assert [one.size for one in found] == [5, 5, 5, 5, 5, 0]


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (lines(ct_record()), "aws_cloudtrail"),
        (lines({"Records": [ct_record()]}), "aws_cloudtrail"),
        (lines([ct_record()]), "aws_cloudtrail"),
        (json.dumps(ct_record(), indent=2).encode(), "aws_cloudtrail"),
        (lines({"Records": [{"no": "record"}, ct_record()]}), "aws_cloudtrail"),
        (lines({"Records": [ct_record()]}, {"Records": [ct_record()]}), "aws_cloudtrail"),
        (lines(audit_event()), "k8s_audit"),
        (lines([audit_event(), audit_event()]), "k8s_audit"),
        (lines({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [audit_event()]}), "k8s_audit"),
        (lines({"items": [audit_event()], "kind": "EventList"}), "k8s_audit"),
        (b"\xef\xbb\xbf" + lines(audit_event()), "k8s_audit"),
        (b"garbage\n" + lines(audit_event()), "k8s_audit"),
        (lines(audit_event())[:-100], "k8s_audit"),
        (b"", None),
        (b"[]", None),
        (b"[[[[", None),
        (b'{"a"', None),
        (b'{"kind": 0}', None),
        (b"{" * 5000, None),
        (b'{"a":' * 5000, None),
        (lines({"eventID": "x", "eventTime": "2026-01-02T03:04:05Z", "eventName": "a", "eventSource": "b"}), None),
    ],
)
def test_the_source_is_told_by_the_content(data: bytes, source: str | None) -> None:
    known = tell(data)
    assert (known.source if known else None) == source


@pytest.mark.usefixtures("small_pieces")
def test_places_of_bad_records_name_the_line_a_piece_begins_at(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(lines(*(audit_event(number=n) for n in range(20)), {"kind": "Event", "verb": "get"}))
    decoded = list(read_events(str(path)))
    assert sum(len(one.events) for one in decoded) == 20
    ((reason, detail),) = [skipped for one in decoded for skipped in one.skipped]
    assert reason == "no-time"
    assert detail.startswith("from line ")


def test_what_is_no_event_file_says_why(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("no json\n")
    with pytest.raises(Unreadable, match="not JSON: line 1 column 1"):
        list(read_events(str(path)))
    with pytest.raises(Unreadable, match="No such file"):
        list(read_events(str(tmp_path / "y.json")))
    with pytest.raises(Unreadable, match="Is a directory"):
        list(read_events(str(tmp_path)))


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "closed").mkdir()
    (tmp_path / "a" / "x.json").write_text("{}")
    scandir = os.scandir

    def closed(path: str) -> object:  # root, who may run the tests, is refused nothing
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    found = [payload.path for payload in find([str(tmp_path)])]
    assert found == [str(tmp_path / "a" / "x.json"), str(tmp_path / "closed")]


@pytest.mark.usefixtures("small_pieces")
def test_a_long_line_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []

    def decoded(line: bytes) -> Any:
        looked_at.append(len(line))
        return decode_json(line)

    monkeypatch.setattr(payloads, "decode_json", decoded)
    first = json.dumps({"a": "x" * 50_000}).encode() + b"\n"
    found = cut(first + b'{"a": 1}\n' * 200)
    assert looked_at == [len(first)]
    assert b"".join(piece.data for piece in found) == first + b'{"a": 1}\n' * 200


@pytest.mark.usefixtures("small_pieces")
def test_lines_before_one_that_is_too_long_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MAX_BYTES", 20_000)
    good = b'{"a": 1}\n' * 20
    found = pieces(io.BytesIO(good + b"x" * 30_000), lambda _size: None)
    assert next(found).data == good
    with pytest.raises(PayloadError, match="too-large"):
        next(found)


def log_data(*messages: str, group: str = "trail") -> bytes:
    events = [{"id": str(n), "timestamp": 1, "message": message} for n, message in enumerate(messages)]
    data = {"messageType": "DATA_MESSAGE", "logGroup": group, "subscriptionFilters": ["f"], "logEvents": events}
    return json.dumps(data).encode()


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (log_data(json.dumps(ct_record())), "aws_cloudtrail"),
        (log_data(json.dumps(audit_event()), group="/aws/eks/c/cluster"), "k8s_audit"),
        (log_data("I0102 a line of another stream", json.dumps(audit_event())), "k8s_audit"),
        (log_data("2 111122223333 eni-1 192.0.2.1 192.0.2.2 443 49152 6 10 840 1 2 ACCEPT OK"), None),
        (b'{"messageType": "CONTROL_MESSAGE", "logEvents": []}', "aws_cloudtrail"),
    ],
)
def test_messages_of_cloudwatch_logs_are_told_by_what_they_hold(data: bytes, source: str | None) -> None:
    found = tell(data)
    assert (found and found.source) == source
