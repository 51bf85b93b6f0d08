"""Why host events cannot be had through eBPF here, for people; asked by ``lanner doctor`` and by tests."""

import os
import platform
import re
import struct
from pathlib import Path

from ingest.syscalls.ebpf import bpf
from ingest.syscalls.ebpf.btf import BTF
from ingest.syscalls.ebpf.loader import LoadError, find_bcc, is_cached, kernel_offsets

OLDEST = (5, 15)
"""The first kernel in which the program finds the registers of a thread (helper bpf_task_pt_regs)."""

_CAP_SYS_ADMIN, _CAP_PERFMON, _CAP_BPF = 21, 38, 39
_RETURN_0 = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)


def reasons() -> list[str]:
    """Return what stands in the way, one sentence each; [] when eBPF works here. Loads and attaches a tiny program."""
    if platform.system() != "Linux":
        return [f"host events need Linux, this is {platform.system()}"]
    if platform.machine() != "x86_64":
        return [f"the eBPF driver knows x86-64 only, this is {platform.machine()}"]
    if _version() < OLDEST:
        return [f"the eBPF driver needs Linux {OLDEST[0]}.{OLDEST[1]} or later, this is {platform.release()}"]
    found = [reason for reason in (_without_capability(), _without_types(), _without_compiler()) if reason]
    return found or [reason for reason in (_without_bpf(), _without_members()) if reason]


def _version() -> tuple[int, int]:
    """Return the kernel's version, as far as it is a number."""
    numbers = [int(part) for part in re.findall(r"\d+", platform.release())[:2]]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0)


def _without_capability() -> str:
    text = Path("/proc/self/status").read_text("ascii", "replace")
    effective = next((int(line.split()[1], 16) for line in text.split("\n") if line.startswith("CapEff:")), 0)
    has = [bool(effective >> bit & 1) for bit in (_CAP_SYS_ADMIN, _CAP_BPF, _CAP_PERFMON)]
    if has[0] or (has[1] and has[2]):
        return ""
    missing = [name for name, there in zip(("CAP_BPF", "CAP_PERFMON"), has[1:], strict=True) if not there]
    return f"this process lacks {' and '.join(missing)}: run it as root or give it these capabilities"


def _without_types() -> str:
    if os.access(BTF, os.R_OK):
        return ""
    return f"{BTF} cannot be read: the kernel must be built with CONFIG_DEBUG_INFO_BTF"


def _without_compiler() -> str:
    if find_bcc() or is_cached():
        return ""
    return (
        "bcc is not installed: on Debian and Ubuntu, apt-get install python3-bpfcc; on Fedora, dnf install python3-bcc"
    )


def _without_bpf() -> str:
    """Load and attach a program that does nothing: lockdown, seccomp and containers answer as they will later."""
    program = None
    try:
        program = bpf.load_program(bpf.RAW_TRACEPOINT, _RETURN_0, "lanner_probe")
        os.close(bpf.attach_raw(program, "sys_exit"))
    except bpf.BpfError as error:
        return f"the kernel refuses an eBPF program: {error}"
    finally:
        if program is not None:
            os.close(program)
    return ""


def _without_members() -> str:
    try:
        kernel_offsets()
    except LoadError as error:
        return str(error)
    return ""
