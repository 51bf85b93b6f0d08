"""Conditions on real captures choose the events that sysdig 0.29 chooses, event by event."""

import functools
import shutil
import subprocess

import pytest

from engine.condition import check_condition
from engine.diagnostics import SourceText
from engine.event import Event
from engine.generate import generate
from ingest.syscalls.scap.decode import decode
from lanner.catalog import build_catalog
from tests.shared import SHARED, needs_shared

pytestmark = [needs_shared, pytest.mark.skipif(shutil.which("sysdig") is None, reason="sysdig is not installed")]

CAPTURES = ("cat_write", "connect_localhost", "curl_google", "open-multiple-files", "ping_sendto", "single_ipv6_conn")
CONDITIONS = """
evt.type=open
evt.type in (open, close, read)
not evt.type in (open, close, read)
evt.type=open and fd.name startswith /etc
evt.type=open and fd.name contains lib
evt.type=open and fd.name endswith .so.6
evt.type=open and fd.name glob /etc/*
evt.type=open and fd.name pmatch (/etc, /usr)
evt.type=open and fd.directory=/etc
evt.type=open and fd.filename=ld.so.cache
fd.typechar=f
fd.typechar=6 and evt.type in (read, write, sendto, recvfrom, connect)
fd.type=file and evt.type=read
fd.type=ipv6
fd.type in (ipv4, ipv6) and evt.type=connect
fd.num=3
fd.num>3 and evt.type=close
fd.sport=80
fd.port=80 and evt.type=sendto
fd.cport=47192
fd.l4proto=tcp
fd.l4proto=udp and evt.type=sendmsg
fd.sip=127.0.0.1
fd.cip=127.0.0.1
fd.ip=127.0.0.1
fd.net=127.0.0.0/8
fd.name exists and evt.type=close
proc.name=cat
proc.name=curl and evt.type=connect
proc.name in (cat, curl)
proc.name contains ur
proc.pname=bash and evt.type=execve
proc.aname=bash and evt.type=execve
proc.aname[2]=sshd and evt.type=execve
proc.cmdline contains google
proc.args contains http
proc.exe=cat
proc.pid=17497 and evt.type=poll
thread.tid=17498
proc.duration exists and proc.name=nosuch
user.name=ubuntu and evt.type=clone
user.uid=1000 and evt.type=clone
evt.res=SUCCESS
evt.res=ENOENT
evt.res=EINPROGRESS
evt.failed=true
evt.failed=false and evt.type=access
evt.rawres<0
evt.rawres>=0 and evt.type=read
evt.rawres>1000
evt.is_io_read=true
evt.is_io_write=true and fd.type=ipv6
evt.is_io=true
evt.io_dir=read
evt.buffer contains ELF
evt.buffer contains HTTP
evt.category=net
evt.category=process
evt.is_open_read=true
evt.is_open_write=true
evt.arg.flags contains O_CLOEXEC and evt.type=open
evt.arg.name=/etc/ld.so.cache
evt.args contains O_RDONLY and evt.type=open
evt.cpu=0 and evt.type=open
evt.count=1 and evt.type=open
syscall.type=mprotect
(evt.type=open and fd.name startswith /etc) or (evt.type=connect and not fd.sport=53)
evt.type=open and not (fd.name startswith /lib or fd.name startswith /usr)
""".strip().split("\n")

APART = {
    "fd.typechar=f": ({"mmap"}, "today mmap tells its descriptor"),
    "fd.num=3": ({"mmap"}, "today mmap tells its descriptor"),
    "fd.l4proto=udp and evt.type=sendmsg": ({"sendmsg"}, "today a datagram tells of a socket nobody saw made"),
    "fd.name exists and evt.type=close": ({"close"}, "today the name of an unknown descriptor does not exist"),
    "evt.category=net": ({"ioctl", "sendmsg", "read"}, "today input and output have the family of their descriptor"),
    "evt.category=process": (
        {"arch_prctl", "getrusage", "set_tid_address", "set_robust_list"},
        "today a call known by name only has no family",
    ),
}
"""Events in which Falco 0.44.1, whose answers are recorded, differs from sysdig 0.29, by condition, and why."""


@functools.cache
def chosen_by_sysdig(capture: str, condition: str) -> tuple[tuple[str, ...], ...]:
    assert SHARED is not None
    file = str(SHARED / "scap" / f"{capture}.scap")
    done = subprocess.run(
        ["sysdig", "-r", file, "-p", "*%evt.rawtime %thread.tid %evt.type", f"({condition}) and evt.dir=<"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [tuple(line.split()) for line in done.stdout.splitlines()]
    return tuple((*one[:2], {"<unknown>": "fadvise64"}.get(one[2], one[2])) for one in rows)


@functools.cache
def predicate(condition: str):
    checked = check_condition(SourceText(condition), "syscall", build_catalog("h"))
    return generate([(True, checked)]).call


def chosen(capture: str, condition: str) -> tuple[tuple[str, ...], ...]:
    assert SHARED is not None
    holds = predicate(condition)
    found: list[tuple[str, ...]] = []
    with (SHARED / "scap" / f"{capture}.scap").open("rb") as stream:
        for decoded in decode(stream):
            found += [row(event) for event in decoded.events if is_exit(event) and holds(event)]
    return tuple(found)


def is_exit(event: Event) -> bool:
    return event.record.name not in ("procinfo", "switch", "procexit")  # type: ignore[attr-defined]


def row(event: Event) -> tuple[str, ...]:
    call = event.record
    return str(call.time_ns), str(call.tid), call.name  # type: ignore[attr-defined]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_chooses_what_sysdig_chooses(condition: str) -> None:
    apart, _ = APART.get(condition, (set(), ""))
    for capture in CAPTURES:
        given = [one for one in chosen(capture, condition) if one[2] not in apart]
        assert given == [one for one in chosen_by_sysdig(capture, condition) if one[2] not in apart], capture


@pytest.mark.parametrize("condition", APART)
def test_what_is_left_apart_differs_indeed(condition: str) -> None:
    assert any(chosen(capture, condition) != chosen_by_sysdig(capture, condition) for capture in CAPTURES)


def test_the_conditions_choose_something() -> None:
    empty = [one for one in CONDITIONS if not any(chosen(capture, one) for capture in CAPTURES)]
    assert len(empty) <= 4, empty
