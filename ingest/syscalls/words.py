"""Words and characters for kinds of descriptors and capabilities (spec: fields 5.1, 6.2 and 6.3)."""

from ingest.syscalls.call import Descriptor

TYPES = {
    "f": "file",
    "d": "directory",
    "4": "ipv4",
    "6": "ipv6",
    "u": "unix",
    "p": "pipe",
    "e": "event",
    "s": "signalfd",
    "l": "eventpoll",
    "i": "inotify",
    "t": "timerfd",
    "n": "netlink",
    "b": "bpf",
    "r": "io_uring",
    "m": "memfd",
    "P": "pidfd",
}
"""What ``fd.type`` answers, by ``fd.typechar``."""

NO_TYPE = "<NA>"
"""What ``fd.type`` answers for a descriptor of a kind that has no word."""

IO_CATEGORY = {
    **dict.fromkeys("fd", "file"),
    **dict.fromkeys("46", "net"),
    **dict.fromkeys("puesi", "ipc"),
}
"""Category of a transfer, by the character of its descriptor."""

_CAPABILITIES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
CAPABILITIES = tuple(f"CAP_{word}" for word in _CAPABILITIES.split())
"""Names of capabilities in the order of their bits."""


def type_word(fd: Descriptor) -> str:
    """Return the kind of a descriptor as a word."""
    return fd.kind or TYPES.get(fd.typechar, NO_TYPE)


def capability_names(bits: int) -> str:
    """Return the names of a set of capabilities, joined by blanks."""
    return " ".join(name for bit, name in enumerate(CAPABILITIES) if bits >> bit & 1)
