"""Entries of the lists before the events, in their newest form: what ``lists`` reads, written."""

from ingest.syscalls.call import Descriptor, Thread
from ingest.syscalls.interfaces import Interface
from ingest.syscalls.scap.packed import Packer
from ingest.syscalls.scap.values import INET, INET6
from ingest.syscalls.users import User

_NUMBERS = {
    "f": 16, "d": 2, "p": 7, "e": 9, "s": 11, "l": 12, "i": 13, "t": 14, "n": 15,
}  # fmt: skip
# Numbers of the types of descriptors that are told by their character alone. Newer types than these make sysdig refuse
# the whole file, so they are written as one that is not supported.

_UNSUPPORTED = 10

_LAYER_4 = {"tcp": 1, "udp": 2, "icmp": 3, "raw": 4}


def interface_entry(found: Interface) -> bytes:
    """Return an address as an entry; its length does not count itself, unlike in the other lists."""
    width = len(found.ip)
    mask = ((1 << found.bits) - 1 << (8 * width - found.bits)).to_bytes(width, "big")
    entry = Packer().number(3 if width == 4 else 4, 2).number(0, 2).raw(found.ip).raw(mask).raw(bytes(width)).entry()
    return (len(entry) - 4).to_bytes(4, "little") + entry[4:]


def account_entry(number: int, account: User | str) -> bytes:
    """Return a user, or a group by its name, as an entry."""
    if isinstance(account, str):
        return Packer().number(1, 1).number(number, 4).text(account).entry()
    packer = Packer().number(0, 1).number(number, 4).number(0, 4)
    return packer.text(account.name).text(account.home).text(account.shell).entry()


def thread_entry(thread: Thread) -> bytes:
    """Return a thread as an entry."""
    packer = Packer()
    for number in (thread.tid, thread.pid, thread.ptid, thread.sid, thread.vpgid):
        packer.number(number, 8)
    packer.text(thread.comm).text(thread.exe).text(thread.exe_path).buffer(_texts(thread.args)).text(thread.cwd)
    packer.number(thread.fd_limit, 8).number(0 if thread.tid == thread.pid else _THREAD_FLAGS, 4)
    for number in (thread.uid, thread.gid, thread.vm_size, thread.vm_rss, thread.vm_swap):
        packer.number(number, 4)
    packer.number(thread.faults_major, 8).number(thread.faults_minor, 8).buffer(_texts(thread.env))
    packer.number(thread.vtid, 8).number(thread.vpid, 8)
    packer.buffer(_texts(tuple(f"{name}={path}" for name, path in thread.cgroups))).text(thread.root)
    _newer(packer, thread)
    return packer.entry()


_THREAD_FLAGS = 1 | 8192
# CLONE_FILES and CLONE_THREAD in Falco's numbering: a thread that shares its process's descriptors.


def _newer(packer: Packer, thread: Thread) -> None:
    packer.number(thread.pidns_start_ns, 8).number(thread.tty, 4).number(thread.login_uid, 4)
    packer.number(thread.exe_flags & 1, 1)
    for caps in thread.caps:
        packer.number(caps, 8)
    packer.number(thread.exe_flags >> 1 & 1, 1)
    for number in (thread.exe_ino, thread.exe_ctime_ns, thread.exe_mtime_ns):
        packer.number(number, 8)
    packer.number(thread.exe_flags >> 2 & 1, 1).number(thread.exe_flags >> 3 & 1, 1).number(thread.pgid, 8)


def _texts(texts: tuple[str, ...]) -> bytes:
    return b"".join(text.encode("utf-8", "surrogateescape") + b"\0" for text in texts)


def descriptor_entry(found: Descriptor) -> bytes:
    """Return a descriptor as an entry."""
    packer = Packer().number(found.num, 8).number(found.ino, 8)
    ends, address = found.ends, found.address
    if found.typechar in "46" and ends is not None and ends.family in (INET, INET6):
        packer.number(3 if ends.family == INET else 4, 1).raw(ends.source.ip).raw(ends.destination.ip)
        packer.number(ends.source.port, 2).number(ends.destination.port, 2).number(_LAYER_4.get(found.l4, 0), 1)
    elif found.typechar in "46" and address is not None and address.family in (INET, INET6):
        packer.number(5 if address.family == INET else 6, 1).raw(address.ip)
        packer.number(address.port, 2).number(_LAYER_4.get(found.l4, 0), 1)
    elif found.typechar == "u" and found.kind != "userfaultfd":
        packer.number(8, 1).number(ends.source_id if ends else 0, 8).number(ends.destination_id if ends else 0, 8)
        packer.text(ends.destination.path if ends else found.name)
    elif found.typechar == "f":
        packer.number(_NUMBERS["f"], 1).number(found.flags, 4).text(found.name).number(found.dev, 4)
    else:
        packer.number(_NUMBERS.get(found.typechar, _UNSUPPORTED), 1).text(found.name)
    return packer.entry()
