"""
Which request an audit event tells of: what all its stages have in common and no other request has.

The audit id alone does not do, since a client may choose it. The object does not serve: a later stage may know its name
where the server chose it. The time of receipt is the API server's, in microseconds;
an aggregated API server has another one, so that what two servers tell of one request stays apart.
"""

import msgspec

from engine.event import Record
from ingest.jsonfields import text_at

_COMMON = ("auditID", "requestReceivedTimestamp", "verb", "requestURI", "user", "sourceIPs")
_encode = msgspec.json.Encoder(order="sorted").encode


def request_of(record: Record) -> tuple[bytes, str] | None:
    """Return bytes that tell the request, and its stage; None when the event does not tell enough to know them."""
    stage = record.get("stage")
    if type(stage) is not str or not record.get("auditID") or not record.get("requestReceivedTimestamp"):
        return None
    cluster = text_at(record, "annotations", "cluster_name")
    try:
        return _encode([cluster, *[record.get(key) for key in _COMMON]]), stage
    except (RecursionError, UnicodeEncodeError):
        return None
