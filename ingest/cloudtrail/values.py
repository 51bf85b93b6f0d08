"""Getters of the CloudTrail fields that are more than the text at one path (spec: fields 2.2-2.4, 9)."""

from collections.abc import Callable
from typing import Any

from engine.event import Event, Record
from engine.jsontext import compact, text
from ingest.cloudtrail import actions
from ingest.jsonfields import text_at, value_at

_SUFFIX = ".amazonaws.com"
_PUBLIC_ACCESS_FLAGS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def short_source(event: Event) -> str | None:
    """Return ``eventSource`` without ``.amazonaws.com``."""
    source = text(event.record.get("eventSource"))
    return source and source.removesuffix(_SUFFIX)


def flag(key: str) -> Callable[[Event], str | None]:
    """Return a getter of a flag as ``true`` or ``false``; CloudTrail writes some as JSON booleans, some as text."""

    def get(event: Event) -> str | None:
        value = event.record.get(key)
        if value is None:
            return None
        return "true" if value is True or value == "true" else "false"

    return get


def readonly(event: Event) -> str | None:
    """Return ``readOnly``; where the record lacks it, what the verb in ``eventName`` suggests."""
    recorded = event.record.get("readOnly")
    if recorded is not None:
        return "true" if recorded is True or recorded == "true" else "false"
    name = event.record.get("eventName")
    if not isinstance(name, str):
        return None
    return "false" if actions.changes(name) else "true"


def resources(event: Event) -> str | None:
    """Return the resources as JSON texts joined by commas."""
    found = event.record.get("resources")
    if not isinstance(found, list):
        return text(found)
    return ",".join(compact(each) or "null" for each in found) or None


def identity(record: Record) -> dict[str, Any]:
    """Return ``userIdentity``; an empty one when the record has none."""
    found = record.get("userIdentity")
    return found if isinstance(found, dict) else {}


def user(event: Event) -> str | None:
    """Return the name that Falco gives an actor, by identity type (spec: fields 2.3)."""
    who = identity(event.record)
    match who.get("type"):
        case "Root" | "IAMUser":
            return text(who.get("userName"))
        case "AWSService":
            return text(who.get("invokedBy"))
        case "AssumedRole":
            return text_at(who, "sessionContext", "sessionIssuer", "userName") or "AssumedRole"
        case "AWSAccount" | "FederatedUser" as constant:
            return str(constant)
    return None


def original_user(event: Event) -> str | None:
    """Return the session name of an assumed role, else the user name."""
    who = identity(event.record)
    if who.get("type") != "AssumedRole":
        return text(who.get("userName"))
    return session_name(who)


def session_name(who: dict[str, Any]) -> str | None:
    """Return the session name that the ARN or the principal id of an assumed role ends with."""
    parts = (text(who.get("arn")) or "").split("/")
    if len(parts) == 3:
        return parts[2]
    parts = (text(who.get("principalId")) or "").split(":")
    return parts[1] if len(parts) == 2 else None


def account_id(event: Event) -> str | None:
    """Return the account of the caller, else the account that received the record."""
    own = text(identity(event.record).get("accountId"))
    return own if own is not None else text(event.record.get("recipientAccountId"))


def request(record: Record) -> dict[str, Any]:
    """Return ``requestParameters``; empty when the record has none."""
    found = record.get("requestParameters")
    return found if isinstance(found, dict) else {}


def request_host(event: Event) -> str | None:
    """Return the host of a request: newer S3 records write the key as ``Host``, older ones and others as ``host``."""
    found = request(event.record)
    upper = text(found.get("Host"))
    return upper if upper is not None else text(found.get("host"))


def s3_uri(event: Event) -> str | None:
    """Return ``s3://bucket/key`` when the request names both."""
    found = request(event.record)
    bucket, key = found.get("bucketName"), found.get("key")
    return f"s3://{bucket}/{key}" if isinstance(bucket, str) and isinstance(key, str) else None


def _counter(event: Event, key: str) -> int | None:
    value = value_at(event.record, "additionalEventData", key)
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return int(value)
    return None


def s3_bytes_in(event: Event) -> int | None:
    """Return the bytes uploaded."""
    return _counter(event, "bytesTransferredIn")


def s3_bytes_out(event: Event) -> int | None:
    """Return the bytes downloaded."""
    return _counter(event, "bytesTransferredOut")


def s3_bytes(event: Event) -> int | None:
    """Return the bytes moved either way; absent when neither is known."""
    up, down = s3_bytes_in(event), s3_bytes_out(event)
    return None if up is None and down is None else (up or 0) + (down or 0)


def count_of(name: str) -> Callable[[Event], int | None]:
    """Return a getter of 1 for events of one name."""
    return lambda event: 1 if event.record.get("eventName") == name else None


def count_other(event: Event) -> int | None:
    """Return 1 for events other than GetObject and PutObject."""
    return None if event.record.get("eventName") in ("GetObject", "PutObject") else 1


def _items(value: Any) -> list[Any]:
    """Return the elements of ``{"items": [...]}``, as EC2 writes lists."""
    found = value_at(value, "items")
    return found if isinstance(found, list) else []


def ec2_name(event: Event) -> str | None:
    """Return the Name tag asked for on new instances; of several the last."""
    name = None
    for item in _items(request(event.record).get("tagSpecificationSet")):
        tags = value_at(item, "tags")
        if value_at(item, "resourceType") != "instance" or not isinstance(tags, list):
            continue
        for tag in tags:
            if value_at(tag, "key") == "Name":
                name = text_at(tag, "value") or name
    return name


_ONE_IMAGE = (
    ("imageId",),
    ("DescribeFastLaunchImagesRequest", "ImageId", "content"),
    ("launchSpecification", "imageId"),
)


def image_ids(event: Event, index: int | None = None) -> list[str] | None:
    """Return the images of the instances in the response, else the one in the request."""
    record = event.record
    if isinstance(value_at(record, "responseElements", "instancesSet", "items"), list):
        items = _items(value_at(record, "responseElements", "instancesSet"))
        found = [text_at(item, "imageId") for item in items]
    else:
        asked = (text_at(record, "requestParameters", *path) for path in _ONE_IMAGE)
        found = [next((image for image in asked if image is not None), None)]
    chosen = found if index is None else found[index : index + 1]
    return [image for image in chosen if image is not None] or None


def image_id(event: Event) -> str | None:
    """Return the first image of ``ec2.imageids[0]``."""
    found = image_ids(event, 0)
    return found[0] if found else None


def _missing(key: str) -> str:
    return f"<invalid cloudtrail event: {key} field missing>"


def info(event: Event) -> str:
    """Return the one-line summary of a record (spec: fields 2.4)."""
    record = event.record
    who, source, name = user(event), text(record.get("sourceIPAddress")), text(record.get("eventName"))
    if who is None:
        return _missing("userIdentity")
    if source is None:
        return _missing("sourceIPAddress")
    if name is None:
        return _missing("eventName")
    via = "" if who == source else f" via {source}"
    failed = "" if text(record.get("errorCode")) is None else "!"
    arrow = "→" if readonly(event) == "false" else "←"
    return f"{who}{via} {failed}{arrow} {name}{_detail(event, name)}"


def _detail(event: Event, name: str) -> str:
    if name == "PutBucketPublicAccessBlock":
        block = request(event.record).get("PublicAccessBlockConfiguration")
        if isinstance(block, dict):
            flags = [f"{key}={'true' if block.get(key) in (True, 'true') else 'false'}" for key in _PUBLIC_ACCESS_FLAGS]
            return f" {' '.join(flags)} "
    size = s3_bytes(event)
    return ("" if size is None else f" Size={size}") + _place(event)


def _place(event: Event) -> str:
    uri = s3_uri(event)
    if uri is not None:
        return f" URI={uri}"
    found = request(event.record)
    for label, value in (("Bucket", found.get("bucketName")), ("Key", found.get("key"))):
        if value is not None:
            return f" {label}={text(value)}"
    host = request_host(event)
    return "" if host is None else f" Host={host}"


def plugin_info(event: Event) -> str:
    """Return the summary with region and service in front."""
    source, region, name = short_source(event), text(event.record.get("awsRegion")), text(event.record.get("eventName"))
    for key, value in (("eventSource", source), ("awsRegion", region), ("eventName", name)):
        if value is None:
            return _missing(key)
    return f"{region}{_who(event)} {source} {name} {info(event)}"


def _who(event: Event) -> str:
    """Return the actor with a blank in front; the marks that Falco has for no actor stand without one."""
    who, kind = user(event), identity(event.record).get("type")
    if who is not None:
        return f" {who}"
    if kind is None:
        return ""
    return "<NA>" if kind in ("Root", "IAMUser", "AWSService") else "<unknown user type>"
