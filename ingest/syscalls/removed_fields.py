"""
Fields that old rules may still name though nothing fills them since libs 0.20: tracer spans, Mesos, Marathon, syslog.

They are known by name and type, so that such a rule loads; they are always absent.
"""

from collections.abc import Iterator, Mapping

from engine.fields import Arg, Field, Type

_DOCS = {
    "evtin": "Of the tracer spans that were open at the time of the event; nothing fills it any more.",
    "span": "Of the tracer span that an event opened or closed; nothing fills it any more.",
    "marathon": "Of the Marathon application of a container; nothing fills it any more.",
    "mesos": "Of the Mesos task of a container; nothing fills it any more.",
    "syslog": "Of a message written to the system log's socket; nothing fills it any more.",
}

_PLAIN = {
    Type.STRING: """
        evtin.span.args evtin.span.m.args evtin.span.m.tags evtin.span.p.args evtin.span.p.tags
        evtin.span.s.args evtin.span.s.tags evtin.span.tags marathon.app.id marathon.app.labels
        marathon.app.name marathon.group.id marathon.group.name mesos.framework.id mesos.framework.name
        mesos.task.id mesos.task.labels mesos.task.name span.args span.duration.human span.enterargs
        span.rawparenttime span.rawtime span.tags span.time syslog.facility.str syslog.message
        syslog.severity.str
    """,
    Type.INT: """
        evtin.span.id evtin.span.m.id evtin.span.p.id evtin.span.s.id span.id
    """,
    Type.UINT: """
        evtin.span.m.nargs evtin.span.m.ntags evtin.span.nargs evtin.span.ntags evtin.span.p.nargs
        evtin.span.p.ntags evtin.span.s.nargs evtin.span.s.ntags span.count span.duration.quantized
        span.nargs span.ntags syslog.facility syslog.severity
    """,
    Type.RELTIME: """
        span.duration
    """,
}
_INDEXED = {
    Type.STRING: """
        evtin.span.m.tag evtin.span.p.tag evtin.span.s.tag evtin.span.tag span.idtag span.tag
    """,
    Type.UINT: """
        span.childcount.fortag span.count.fortag
    """,
    Type.RELTIME: """
        span.duration.fortag
    """,
}
_NAMED_OR_INDEXED = {
    Type.STRING: """
        evtin.span.arg evtin.span.m.arg evtin.span.p.arg evtin.span.s.arg span.arg span.enterarg
    """,
}
_NAMED = {
    Type.STRING: """
        marathon.app.label mesos.task.label
    """,
}


def _rows(names: Mapping[Type, str], arg: Arg, dotted: bool = False) -> Iterator[Field]:
    for kind, text in names.items():
        for name in text.split():
            doc = _DOCS[name.partition(".")[0]]
            yield Field(name, kind, doc, arg=arg, arg_required=arg is not Arg.NONE, dotted=dotted, removed=True)


REMOVED_FIELDS = (
    *_rows(_PLAIN, Arg.NONE),
    *_rows(_INDEXED, Arg.INDEX),
    *_rows(_NAMED_OR_INDEXED, Arg.INDEX_OR_KEY, dotted=True),
    *_rows(_NAMED, Arg.KEY, dotted=True),
)
