"""
Audit levels, and from which one on a field can have a value.

An API server writes ``requestObject`` at level Request and above, ``responseObject`` at RequestResponse, all else at
Metadata. Source: the Kubernetes API ``audit.k8s.io/v1``.
"""

from enum import IntEnum

from engine.typed import FieldValue
from ingest.jsonfields import pointer


class Level(IntEnum):
    """How much an API server records of a request; each level holds all that the ones below it hold."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3

    @property
    def label(self) -> str:
        """As policies and events spell it."""
        return "".join(word.capitalize() for word in self.name.split("_"))


LEVELS = {level.label: level for level in Level}
"""The levels by the names that policies and events have for them."""

STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
"""The stages of a request in their order; one event is written at each, unless the policy omits it."""

_OF_PATH = {"requestObject": Level.REQUEST, "responseObject": Level.REQUEST_RESPONSE}
_OF_FIELD = {
    "ka.target.pod.name": Level.REQUEST_RESPONSE,
    "ka.req.binding.subject.has_name": Level.METADATA,
    "evt.target.user": Level.REQUEST,
    "evt.images": Level.REQUEST,
}
_REQUESTED = "ka.req."


def level_of(value: FieldValue) -> Level:
    """
    Return the level below which a field is absent from every event.

    Fields over the whole record (``json.obj``, ``evt.ips`` ...) and those that have another place to look are there at
    Metadata already, if with less in them.
    """
    if value.path is not None:
        return _OF_PATH.get(value.path[0], Level.METADATA)
    if isinstance(value.arg, str) and value.field.path_for is not None:
        return _OF_PATH.get(pointer(value.arg)[0][0], Level.METADATA) if value.arg else Level.METADATA
    known = _OF_FIELD.get(value.field.name)
    if known is not None:
        return known
    return Level.REQUEST if value.field.name.startswith(_REQUESTED) else Level.METADATA
