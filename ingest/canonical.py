"""
The canonical fields: names that mean the same for every source, so that one rule can speak of all of them.

A source gives a getter for each name that it has an honest answer for; the others are absent there. None of the names
exists in Falco (spec: event-model 3).
"""

from collections.abc import Mapping
from typing import NamedTuple

from engine.event import Event
from engine.fields import Field, Getter, Type
from ingest.jsonfields import path_field


class Canonical(NamedTuple):
    """Name, type, whether it is a list, and the sentence of the reference."""

    name: str
    type: Type
    is_list: bool
    doc: str


def _one(name: str, doc: str, of: Type = Type.STRING) -> Canonical:
    return Canonical(name, of, False, doc)


def _many(name: str, doc: str, of: Type = Type.STRING) -> Canonical:
    return Canonical(name, of, True, doc)


CANONICAL: tuple[Canonical, ...] = (
    _one("evt.actor", "Name of the identity whose rights were used."),
    _one("evt.actor.origin", "Who stands behind that identity: session name, impersonating user or login name."),
    _one("evt.actor.id", "Unique id of that identity."),
    _one(
        "evt.actor.type",
        "Kind of that identity: root, user, role, service, federated, account, service_account, node, system,"
        " anonymous.",
    ),
    _many("evt.actor.groups", "Groups of that identity."),
    _one("evt.actor.key", "Credential that was used: access key id, credential id or login session."),
    _one("evt.actor.account", "Cloud account of that identity."),
    _one("evt.action", "What was done, by the name that the source has for it."),
    _one(
        "evt.action.kind",
        "Kind of action: read, list, create, update, delete, execute, connect, listen, login, assume, grant, mount,"
        " load, signal, other.",
    ),
    _one("evt.action.service", "Service, API group or category that the action belongs to."),
    _one("evt.readonly", "Whether the action changes nothing.", Type.BOOL),
    _one("evt.target", "What was acted on."),
    _one("evt.target.kind", "Kind of thing that was acted on, such as aws.s3.bucket, k8s.pods or file."),
    _one("evt.target.user", "Identity that was acted on, where the action is about one."),
    _one("evt.outcome", "How it ended: success, denied, failure or unknown."),
    _one("evt.error", "Error code or reason; absent on success."),
    _one("evt.srcip", "Address that the action came from.", Type.IPADDR),
    _many("evt.srcips", "All addresses that the action came through, nearest to its origin first.", Type.IPADDR),
    _one("evt.srcname", "Name that the action came from, where the source tells no address."),
    _one("evt.dstip", "Address that the action went to.", Type.IPADDR),
    _one("evt.dstport", "Port that the action went to.", Type.PORT),
    _one("evt.agent", "Program that acted: user agent or executable."),
    _one("evt.account", "Cloud account in which it happened."),
    _one("evt.region", "Cloud region in which it happened."),
    _one("evt.cluster", "Cluster in which it happened."),
    _one("evt.host", "Machine on which it happened."),
    _one("evt.namespace", "Namespace in which it happened: of Kubernetes, or the ECS cluster."),
    _one("evt.pod", "Pod in or to which it happened, or the ECS task."),
    _many("evt.images", "Machine or container images involved."),
    _one("evt.uid", "Identity of the event, equal for each delivery of it."),
    _one("evt.delay", "Nanoseconds from the event until it was received; absent for replays.", Type.RELTIME),
    _one(
        "evt.late",
        "Whether it was received later than the source regards as usual, by default a day; absent for replays.",
        Type.BOOL,
    ),
    _one("evt.replay", "Whether it was read back from an archive (files, back-fill of a bucket).", Type.BOOL),
    _many("evt.ips", "Every IP address found anywhere in the record.", Type.IPADDR),
    _many("evt.users", "Every user name found anywhere in the record."),
    _many("evt.arns", "Every AWS resource name (ARN) found anywhere in the record."),
    _many("evt.accounts", "Every cloud account id found anywhere in the record."),
    _many("evt.domains", "Every domain name found anywhere in the record."),
    _many("evt.hashes", "Every MD5, SHA-1 or SHA-256 digest found anywhere in the record."),
    _many("evt.paths", "Every absolute file path found anywhere in the record."),
)


def _absent(event: Event) -> None:
    return None


def _delay(event: Event) -> int | None:
    receipt = event.receipt
    if receipt is None or receipt.replay or receipt.time_ns < event.time_ns:
        return None
    return receipt.time_ns - event.time_ns


def _late(event: Event) -> bool | None:
    receipt = event.receipt
    return None if receipt is None or receipt.replay else receipt.time_ns - event.time_ns > receipt.late_after_ns


def _replay(event: Event) -> bool | None:
    return event.receipt.replay if event.receipt else None


_OF_ALL: dict[str, Getter] = {"evt.delay": _delay, "evt.late": _late, "evt.replay": _replay}


def canonical_fields(getters: Mapping[str, Getter | tuple[str, ...]]) -> list[Field]:
    """
    Return the rows of all canonical fields for one source; how events were received every source answers alike.

    Args:
        getters: For each name that the source can answer its getter, or the path in the record where its text is.

    Raises:
        ValueError: A getter is for a name that is not canonical.
    """
    unknown = getters.keys() - {row.name for row in CANONICAL}
    if unknown:
        raise ValueError(f"not canonical: {', '.join(sorted(unknown))}")
    return [_field(row, getters.get(row.name, _OF_ALL.get(row.name, _absent))) for row in CANONICAL]


def _field(row: Canonical, answer: Getter | tuple[str, ...]) -> Field:
    if isinstance(answer, tuple):
        return path_field(row.name, row.doc, *answer)
    return Field(row.name, row.type, row.doc, answer, is_list=row.is_list)
