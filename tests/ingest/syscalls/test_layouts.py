"""Event layouts and symbolic tables: they tell the facts of the specification, and numbers become names as in Falco."""

import os
import socket
import subprocess
import sys

import pytest
import yaml

from ingest.syscalls import events, flags, layouts
from tests.shared import SHARED, needs_shared


@pytest.fixture(scope="module")
def spec() -> dict:
    assert SHARED is not None
    return yaml.safe_load((SHARED.parent / "spec" / "events.yaml").read_text())


def written(param: layouts.Param) -> list[str]:
    table = f"dir={param.dirfd}" if param.dirfd >= 0 else param.table
    return [param.name, param.type, param.format, table]


def told(row: list[str]) -> list[str]:
    form = row[2] if len(row) > 2 and row[2] != "na" else "dec"
    return [row[0], row[1], form, row[3] if len(row) > 3 else ""]


@needs_shared
def test_every_event_a_rule_can_see_has_the_layout_of_the_specification(spec: dict) -> None:
    compared = 0
    for row in spec["events"]:
        if row["kind"] == "iter" or row["name"] == "scapevent" or (row["name"], row["dir"]) == ("drop", "exit"):
            continue
        entry_of_call = row["kind"] == "syscall" and row["dir"] == "enter"
        found = layouts.entry_layout(row["name"]) if entry_of_call else layouts.layout(row["name"])
        assert found is not None, row["name"]
        assert [written(param) for param in found.params] == [told(param) for param in row["params"]], row["name"]
        assert found.category == row["category"]
        assert found.entry == (row["dir"] == "enter")
        assert found.kind == {"plugin": "meta"}.get(row["kind"], row["kind"])
        traits = {*row.get("fd", ()), *row.get("io", ()), *(key for key in ("state", "waits") if row.get(key))}
        assert found.traits == traits | ({"ignored"} if row.get("default") == "ignored" else set())
        compared += 1
    assert compared == 183


@needs_shared
def test_every_symbolic_table_has_the_entries_of_the_specification_in_their_order(spec: dict) -> None:
    for name, rows in spec["flag_tables"].items():
        assert flags.table(name) == tuple(dict.fromkeys((word, value) for word, value in rows)), name


@needs_shared
def test_every_table_that_a_parameter_names_is_there(spec: dict) -> None:
    named = {param.table for name in events.SYSCALLS for param in layouts.layout(name).params if param.table}
    dynamic = {name for name in named if name.endswith("_dynamic_param")}
    assert named - dynamic <= set(spec["flag_tables"])
    assert all(flags.table(name) for name in named - dynamic)


def test_positions_agree_with_the_parameters() -> None:
    openat = layouts.layout("openat")
    assert openat.params[openat.position["name"]].dirfd == openat.position["dirfd"]
    assert layouts.layout("getcpu") is None
    assert layouts.entry_layout("close") is None


@pytest.mark.parametrize(
    ("table", "value", "names"),
    [
        ("file_flags", 4097, "O_RDONLY|O_CLOEXEC"),
        ("file_flags", 3, "O_RDWR"),
        ("file_flags", 2, "O_WRONLY"),
        ("file_flags", 0, "O_NONE"),
        ("file_flags", 1 << 30, ""),
        ("prot_flags", 0, "PROT_NONE"),
        ("clone_flags", 0, ""),
        ("access_flags", 0, "F_OK"),
        ("chmod_mode", 0o4755, "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID"),
        ("no such table", 5, ""),
    ],
)
def test_flags_are_named_in_the_order_of_matching(table: str, value: int, names: str) -> None:
    assert flags.flag_names(table, value) == names


def test_an_enumeration_tells_all_names_of_its_value() -> None:
    assert flags.enum_names("socket_families", socket.AF_UNIX) == "AF_LOCAL|AF_UNIX"
    assert flags.enum_names("bpf_commands", 10) == "BPF_PROG_TEST_RUN|BPF_PROG_RUN"
    assert flags.enum_names("bpf_commands", 1000) == ""


@pytest.mark.parametrize(
    ("kernel", "names"),
    [
        (os.O_RDONLY, "O_RDONLY"),
        (os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "O_TRUNC|O_CREAT|O_WRONLY"),
        (os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, "O_APPEND|O_RDWR|O_CLOEXEC"),
        (os.O_RDONLY | os.O_DIRECTORY, "O_DIRECTORY|O_RDONLY|O_TMPFILE"),
        (os.O_RDONLY | os.O_DSYNC | os.O_NONBLOCK | os.O_EXCL, "O_SYNC|O_NONBLOCK|O_EXCL|O_DSYNC|O_RDONLY"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="the numbers are those of Linux")
def test_the_kernels_open_flags_become_falcos(kernel: int, names: str) -> None:
    assert flags.flag_names("file_flags", flags.from_linux("file_flags", kernel)) == names


@pytest.mark.parametrize(
    ("table", "kernel", "falco"),
    [
        ("ptrace_requests", 0, 1),
        ("ptrace_requests", 16, 11),
        ("ptrace_requests", 0x7777, 0),
        ("fcntl_commands", 0, 1),
        ("fcntl_commands", 1030, 26),
        ("fcntl_commands", 4242, 0),
        ("clone_flags", 0x10000 | 0x100, 8192 | 32768),
        ("mmap_flags", 0x22, 10),
        ("sockopt_levels", 6, 2),
        ("sockopt_options", 57, 53),
        ("sockopt_options", 2, 2),
        ("unlinkat_flags", 512, 512),
        ("bpf_commands", 5, 5),
        ("quotactl_quota_fmts", 99, 1),
    ],
)
def test_kernel_numbers_become_falcos(table: str, kernel: int, falco: int) -> None:
    assert flags.from_linux(table, kernel) == falco


def test_every_translated_name_exists() -> None:
    for name in flags._LINUX_SOURCES:
        assert {word for word, _ in flags._entries(flags._LINUX_SOURCES[name])} <= set(flags.constants(name)), name


def test_errors_and_signals_have_the_names_of_linux() -> None:
    assert flags.error_name(-2) == "ENOENT"
    assert flags.error_name(-115) == "EINPROGRESS"
    assert flags.error_name(-512) == "ERESTARTSYS"
    assert flags.error_name(0) == ""
    assert flags.error_name(-9999) == ""
    assert flags.SIGNALS[9] == "SIGKILL"


def test_no_layout_is_read_before_somebody_asks() -> None:
    code = "from ingest.syscalls import events, layouts; print(layouts.layout.cache_info().currsize)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "0"
