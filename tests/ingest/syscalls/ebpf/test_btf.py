"""Type information of kernels, made by hand and of this one."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.syscalls.ebpf.btf import BTF, Btf, BtfError, read_btf
from ingest.syscalls.ebpf.offsets import offsets

INT, PTR, ARRAY, STRUCT, UNION, ENUM, TYPEDEF = 1, 2, 3, 4, 5, 6, 8


class Blob:
    """Type information under construction."""

    def __init__(self) -> None:
        self.strings = b"\0"
        self.types = b""
        self.count = 0

    def text(self, word: str) -> int:
        if not word:
            return 0
        self.strings += word.encode() + b"\0"
        return len(self.strings) - len(word) - 1

    def add(self, kind: int, name: str, size: int, entries: int = 0, rest: bytes = b"", flag: int = 0) -> int:
        self.types += struct.pack("<III", self.text(name), flag << 31 | kind << 24 | entries, size) + rest
        self.count += 1
        return self.count

    def struct(self, name: str, size: int, *members: tuple[str, int, int], kind: int = STRUCT, flag: int = 0) -> int:
        packed = [struct.pack("<III", self.text(word), type_, bits) for word, type_, bits in members]
        return self.add(kind, name, size, len(members), b"".join(packed), flag)

    def data(self) -> bytes:
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return header + self.types + self.strings


def sample() -> bytes:
    blob = Blob()
    number = blob.add(INT, "unsigned int", 4, rest=struct.pack("<I", 32))
    inner = blob.struct("inner", 8, ("a", number, 0), ("b", number, 32))
    typed = blob.add(TYPEDEF, "inner_t", inner)
    either = blob.struct("", 4, ("y", number, 0), ("z", number, 0), kind=UNION)
    array = blob.add(ARRAY, "", 0, rest=struct.pack("<III", inner, number, 4))
    blob.struct("outer", 64, ("x", typed, 64), ("", either, 128), ("list", array, 192))
    blob.struct("fields", 4, ("flag", number, 3 << 24 | 21), flag=1)
    blob.add(ENUM, "ids", 4, 2, struct.pack("<IiIi", blob.text("first"), 0, blob.text("second"), 7))
    return blob.data()


def test_members_are_found_through_types_of_types_and_unnamed_parts() -> None:
    btf = Btf(sample())
    assert btf.offset("outer", "x.b") == 12
    assert btf.offset("outer", "y") == btf.offset("outer", "z") == 16
    assert btf.offset("fields", "flag") == 2
    assert (btf.size("inner"), btf.size("outer")) == (8, 64)
    assert btf.element_size("outer", "list") == 8
    assert btf.element_size("outer", "x") == 0
    assert btf.enumeration("ids") == {"first": 0, "second": 7}


@pytest.mark.parametrize(("structure", "member"), [("outer", "w"), ("nothing", "x"), ("outer", "x.c")])
def test_what_is_not_there_is_named(structure: str, member: str) -> None:
    with pytest.raises(BtfError, match=r"this kernel has no (outer.w|nothing|outer.x.c)$"):
        Btf(sample()).offset(structure, member)


@pytest.mark.parametrize("damage", [b"", b"\0" * 24, sample()[:40], b"\x9f\xeb\x02" + sample()[3:]])
def test_what_is_no_type_information_is_refused(damage: bytes) -> None:
    with pytest.raises(BtfError):
        Btf(damage)


@given(st.binary(max_size=200))
def test_no_bytes_lead_to_anything_but_a_refusal(tail: bytes) -> None:
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(tail), 0, len(tail))
    try:
        Btf(head + tail).offset("outer", "x")
    except BtfError:
        return
    raise AssertionError("there is no such structure")


@pytest.mark.skipif(not BTF.exists(), reason=f"this kernel has no {BTF}")
def test_this_kernel_has_all_that_the_program_reads() -> None:
    found = offsets(read_btf())
    assert all(value >= -1 for value in found.values())
    assert found["OFF_TASK_TGID"] == found["OFF_TASK_PID"] + 4
    assert found["SIZE_UPID"] == 16
