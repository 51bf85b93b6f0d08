"""Rings as the kernel fills them, in memory that a test fills instead."""

import mmap
import os
import struct
from collections.abc import Iterator

import pytest

from ingest.syscalls.ebpf.ring import Ring

PAGE = os.sysconf("SC_PAGE_SIZE")
BUSY, DISCARDED = 1 << 31, 1 << 30


class Producer:
    """The kernel's side: the data is there twice, one after the other."""

    def __init__(self, size: int) -> None:
        self.fd = os.memfd_create("ring")
        self.size, self.at = size, 0
        os.ftruncate(self.fd, 2 * PAGE + 2 * size)
        self.memory = mmap.mmap(self.fd, 2 * PAGE + 2 * size)
        self.ring = Ring(self.fd, size)

    def put(self, payload: bytes, flags: int = 0) -> None:
        record = struct.pack("<II", len(payload) | flags, 0) + payload
        record = record.ljust((len(record) + 7) & ~7, b"\0")
        for index, byte in enumerate(record):
            place = (self.at + index) % self.size
            self.memory[2 * PAGE + place] = self.memory[2 * PAGE + self.size + place] = byte
        self.at += len(record)
        self.memory[PAGE : PAGE + 8] = struct.pack("<Q", self.at)

    def taken(self) -> int:
        return int(struct.unpack_from("<Q", self.memory)[0])


@pytest.fixture
def producer() -> Iterator[Producer]:
    made = Producer(PAGE)
    yield made
    made.ring.close()
    os.close(made.fd)


def payloads(ring: Ring, length: int, limit: int = 1 << 20) -> list[bytes]:
    batch, starts = ring.take(limit)
    return [batch[at : at + length] for at in starts]


def test_records_come_in_order_and_their_room_is_given_back(producer: Producer) -> None:
    for word in (b"one", b"two", b"six"):
        producer.put(word)
    assert producer.ring.pending() == producer.at
    assert payloads(producer.ring, 3) == [b"one", b"two", b"six"]
    assert producer.taken() == producer.at
    assert producer.ring.take() == (b"", [])


def test_what_is_still_written_is_waited_for(producer: Producer) -> None:
    producer.put(b"done")
    at = producer.at
    producer.put(b"next", BUSY)
    producer.put(b"last")
    assert payloads(producer.ring, 4) == [b"done"]
    assert producer.taken() == at


def test_what_the_kernel_took_back_is_left_out(producer: Producer) -> None:
    producer.put(b"gone", DISCARDED)
    producer.put(b"here")
    assert payloads(producer.ring, 4) == [b"here"]
    assert producer.taken() == producer.at


def test_records_go_on_over_the_end(producer: Producer) -> None:
    for number in range(1000):
        text = b"%04d" % number * 50
        producer.put(text)
        assert payloads(producer.ring, 200) == [text]


def test_a_batch_ends_with_a_whole_record(producer: Producer) -> None:
    for _ in range(5):
        producer.put(b"x" * 92)
    assert len(payloads(producer.ring, 92, limit=250)) == 2
    assert producer.taken() == 208
    assert len(payloads(producer.ring, 92, limit=10)) == 1
    assert len(payloads(producer.ring, 92)) == 2
