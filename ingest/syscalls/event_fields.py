"""Fields of the host event itself: ``evt.*`` and ``syscall.type``."""

from engine.fields import Arg, Field, Type
from ingest.syscalls import events

BOOL = Type.BOOL
BYTES = Type.BYTES
INT = Type.INT
RELTIME = Type.RELTIME
STRING = Type.STRING
UINT = Type.UINT

EVENT_FIELDS = (
    Field("evt.pluginname", STRING, "Name of the source plugin that produced the event; absent for syscall events."),
    Field("evt.plugininfo", STRING, "One-line human summary built by the source plugin; absent for syscall events."),
    Field(
        "evt.latency",
        RELTIME,
        "Formerly time between a syscall's entry and exit; now constantly 0 because entry events are gone.",
        deprecated=True,
    ),
    Field("evt.latency.s", RELTIME, "Whole-second part of the retired latency value; constantly 0.", deprecated=True),
    Field(
        "evt.latency.ns",
        RELTIME,
        "Sub-second part of the retired latency value; constantly 0.",
        deprecated=True,
        text="pad9",
    ),
    Field(
        "evt.latency.quantized",
        UINT,
        "Log10 bucket of the retired latency value; constantly 0.",
        hidden=True,
        deprecated=True,
    ),
    Field(
        "evt.latency.human", STRING, 'Readable form of the retired latency value; constantly "0ns".', deprecated=True
    ),
    Field("evt.deltatime", RELTIME, "Nanoseconds since the previous event that evaluated this same field instance."),
    Field("evt.deltatime.s", RELTIME, "Whole-second part of the gap to the previous event."),
    Field("evt.deltatime.ns", RELTIME, "Nanosecond remainder of the gap to the previous event.", text="pad9"),
    Field("evt.outputtime", STRING, "Time printed in whatever format the command line selected; output only."),
    Field(
        "evt.dir",
        STRING,
        "Direction of the event, > for entry and < for exit; only exits reach rules now, so it is always <.",
        deprecated=True,
    ),
    Field(
        "evt.type",
        STRING,
        "Name of the event: the normalised syscall, tracepoint or meta-event name.",
        domain=events.LITERALS,
        synonyms=events.SYNONYMS,
    ),
    Field(
        "evt.type.is",
        UINT,
        "1 when the event is the type written after the last dot, otherwise 0 (evt.type.is.open).",
        arg=Arg.KEY,
        arg_required=True,
        dotted=True,
        arg_domain=events.NAMES,
    ),
    Field(
        "syscall.type",
        STRING,
        "Same as evt.type but only set when the event really is a system call.",
        domain=events.LITERALS,
        synonyms=events.SYNONYMS,
    ),
    Field(
        "evt.category",
        STRING,
        "Coarse family of the event such as file, net, process, memory, signal, user or internal.",
    ),
    Field("evt.cpu", INT, "Index of the CPU on which the event was captured."),
    Field("evt.args", STRING, "All parameters rendered as space-separated name=value pairs."),
    Field(
        "evt.arg",
        STRING,
        "One parameter by name or position, rendered as text and resolved when a symbolic form exists.",
        arg=Arg.INDEX_OR_KEY,
        arg_required=True,
        dotted=True,
        arg_domain=frozenset(events.PARAMETERS),
    ),
    Field(
        "evt.rawarg",
        BYTES,
        "One parameter by name in its native type, without textual resolution.",
        arg=Arg.KEY,
        arg_required=True,
        arg_domain=frozenset(),
        no_rhs=True,
        no_transformer=True,
    ),
    Field("evt.info", STRING, "Alias of evt.args."),
    Field("evt.buffer", BYTES, "Bytes transferred by an I/O syscall, truncated to the snap length."),
    Field("evt.buflen", UINT, "Number of bytes transferred, taken from a non-negative return value of an I/O syscall."),
    Field("evt.res", STRING, "SUCCESS when the return value is zero or positive, otherwise the symbolic errno name."),
    Field("evt.rawres", INT, "Numeric return value of the syscall; negative values are negated errno codes."),
    Field("evt.failed", BOOL, "True when the return value is negative."),
    Field("evt.is_io", BOOL, "True for syscalls that read from or write to a descriptor."),
    Field("evt.is_io_read", BOOL, "True for syscalls that read from a descriptor."),
    Field("evt.is_io_write", BOOL, "True for syscalls that write to a descriptor."),
    Field(
        "evt.io_dir", STRING, "The word read or write for I/O syscalls (the published help says r/w); absent otherwise."
    ),
    Field("evt.is_wait", BOOL, "True for syscalls that may block waiting, such as poll, select or nanosleep."),
    Field("evt.wait_latency", RELTIME, "Retired blocking-time measure; constantly 0.", deprecated=True),
    Field("evt.is_syslog", BOOL, "True for writes whose descriptor name contains /dev/log."),
    Field("evt.count", UINT, "Always 1; meant for aggregations."),
    Field(
        "evt.count.error", UINT, "1 for a failed syscall, 0 for a successful one, absent if there is no return value."
    ),
    Field("evt.count.error.file", UINT, "evt.count.error restricted to file descriptors or failed opens."),
    Field("evt.count.error.net", UINT, "evt.count.error restricted to sockets, accept and connect."),
    Field("evt.count.error.memory", UINT, "evt.count.error restricted to memory syscalls."),
    Field("evt.count.error.other", UINT, "evt.count.error for everything outside file, network and memory."),
    Field("evt.count.exit", UINT, "1 for exit events."),
    Field("evt.count.procinfo", UINT, "1 for periodic process-information meta events of main threads.", hidden=True),
    Field("evt.count.threadinfo", UINT, "1 for every periodic process-information meta event.", hidden=True),
    Field(
        "evt.around",
        UINT,
        "Filter-only window test: evt.around[T]=D accepts events within D milliseconds of epoch-nanosecond T.",
        arg=Arg.INDEX,
        arg_required=True,
        no_rhs=True,
        no_transformer=True,
        filter_only=True,
    ),
    Field(
        "evt.abspath",
        STRING,
        "Absolute path built from a *at syscall's directory descriptor and path; .src/.dst choose a side.",
        arg=Arg.KEY,
        dotted=True,
        arg_domain=frozenset({"src", "dst"}),
    ),
    Field("evt.buflen.in", UINT, "Transferred byte count for read-side I/O only.", hidden=True),
    Field("evt.buflen.out", UINT, "Transferred byte count for write-side I/O only.", hidden=True),
    Field("evt.buflen.file", UINT, "Transferred byte count when the descriptor is a file.", hidden=True),
    Field("evt.buflen.file.in", UINT, "Transferred byte count for file reads.", hidden=True),
    Field("evt.buflen.file.out", UINT, "Transferred byte count for file writes.", hidden=True),
    Field("evt.buflen.net", UINT, "Transferred byte count when the descriptor is an IP socket.", hidden=True),
    Field("evt.buflen.net.in", UINT, "Transferred byte count for socket reads.", hidden=True),
    Field("evt.buflen.net.out", UINT, "Transferred byte count for socket writes.", hidden=True),
    Field("evt.is_open_read", BOOL, "True for the open family when the access mode includes reading."),
    Field("evt.is_open_write", BOOL, "True for the open family when the access mode includes writing."),
    Field("evt.infra.docker.name", STRING, "Event name inside a legacy docker infrastructure event.", hidden=True),
    Field(
        "evt.infra.docker.container.id",
        STRING,
        "Short container id inside a legacy docker infrastructure event.",
        hidden=True,
    ),
    Field(
        "evt.infra.docker.container.name",
        STRING,
        "Container name inside a legacy docker infrastructure event.",
        hidden=True,
    ),
    Field(
        "evt.infra.docker.container.image",
        STRING,
        "Image name inside a legacy docker infrastructure event.",
        hidden=True,
    ),
    Field("evt.is_open_exec", BOOL, "True when an open or creat call creates a file with any execute permission bit."),
    Field("evt.is_open_create", BOOL, "True when an open-family call actually created a file."),
    Field("util.cnt", UINT, "Self-incrementing counter, one step per evaluation.", hidden=True),
)
