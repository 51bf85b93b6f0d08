"""Falco's ``engine`` section: where events of this host come from, as the source that does the same here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import yaml

from lanner.settings import Reader
from lanner.sources import SourceConfig

_KERNEL = ("modern_ebpf", "ebpf", "kmod")
_PRESETS = range(1, 11)
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class DriverKeys:
    """
    How the kernel hands events over.

    Attributes:
        buf_size_preset: Size of the ring for files and network: 1 to 10 for 1 MB to 512 MB.
        drop_failed_exit: Has no effect: rules say which failed calls they want.
        cpus_for_each_buffer: Has no effect: one ring serves all processors.
        disable_iterators: Has no effect: what runs already is read from /proc.
        probe: Has no effect: the program is made for the kernel that runs.
    """

    buf_size_preset: int = 4
    drop_failed_exit: bool = False
    cpus_for_each_buffer: int = 2
    disable_iterators: bool = False
    probe: str = ""


@dataclass(frozen=True, slots=True)
class ReplayKeys:
    """
    What is replayed.

    Attributes:
        capture_file: Capture, or another file of events, that is read once.
    """

    capture_file: str = ""


@dataclass(frozen=True, slots=True)
class EngineKeys:
    """
    Where events of this host come from.

    Attributes:
        kind: "modern_ebpf", and likewise "ebpf" and "kmod", adds the source syscall, unless there is one; "replay"
            reads a capture and then ends; "nodriver" adds nothing.
        modern_ebpf: For kind modern_ebpf.
        ebpf: For kind ebpf.
        kmod: For kind kmod.
        replay: For kind replay.
    """

    kind: Literal["nodriver", "modern_ebpf", "ebpf", "kmod", "replay"] = "nodriver"
    modern_ebpf: DriverKeys = field(default_factory=DriverKeys)
    ebpf: DriverKeys = field(default_factory=DriverKeys)
    kmod: DriverKeys = field(default_factory=DriverKeys)
    replay: ReplayKeys = field(default_factory=ReplayKeys)


def source_of(
    keys: EngineKeys, others: tuple[SourceConfig, ...], reader: Reader, root: yaml.Node
) -> Iterator[SourceConfig]:
    """
    Yield the source that an ``engine`` section stands for, if any.

    Args:
        keys: The section.
        others: Sources that are configured otherwise.
        reader: Gets a finding when the section is wrong.
        root: Where findings point to.
    """
    if keys.kind == "replay":
        from lanner.filesource import FilesOptions

        if keys.replay.capture_file:
            yield SourceConfig.of("replay", FilesOptions((keys.replay.capture_file,)))
        else:
            reader.wrong(root, "engine.replay.capture_file", "kind replay wants a file")
    elif keys.kind in _KERNEL and not any(source.type == "syscall" for source in others):
        from ingest.syscalls.agent import HostOptions

        preset = getattr(keys, keys.kind).buf_size_preset
        if preset in _PRESETS:
            yield SourceConfig.of("syscall", HostOptions(bulk_bytes=_MIB << preset - 1))
        else:
            reader.wrong(root, f"engine.{keys.kind}.buf_size_preset", f"1 to 10, not {preset}")
