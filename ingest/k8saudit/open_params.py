"""Falco's configuration of its k8saudit plugins (``open_params`` and ``init_config``) as options of our sources."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ingest.aws.options import AwsOptions
from ingest.base import SourceError
from ingest.k8saudit.cloudwatch import CloudWatchOptions
from ingest.k8saudit.files import LogOptions
from ingest.k8saudit.listener import ListenOptions
from ingest.k8saudit.tls import TlsOptions
from ingest.k8saudit.webhook import WebhookOptions

_CERTIFICATE = "/etc/falco/falco.pem"
_PORT = 9765
_PATH = "/k8s-audit"
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - what the plugin does when no host is given
_TYPES: dict[str, type] = {
    "sslCertificate": str,
    "maxEventSize": int,
    "maxEventBytes": int,
    "webhookMaxBatchSize": int,
    "useAsync": bool,
}
_DEFAULTS = CloudWatchOptions("")
_EKS_TYPES: dict[str, type] = {
    "profile": str,
    "region": str,
    "polling_interval": int,
    "shift": int,
    "buffer_size": int,
    "use_async": bool,
    "max_event_size": int,
}


@dataclass(slots=True)
class Opened:
    """
    What a plugin configuration asks for.

    Attributes:
        options: Options of the webhook, of the log that is followed or of the log group; None for files that are read
            once.
        path: Local file or directory; "" for a webhook or a log.
        notes: One line for each key that has no effect here, and why.
    """

    options: WebhookOptions | LogOptions | CloudWatchOptions | None = None
    path: str = ""
    notes: list[str] = field(default_factory=list)


def translate(open_params: str, init_config: str | Mapping[str, Any] = "") -> Opened:
    """
    Read a plugin configuration.

    Args:
        open_params: ``http://[host]:port/path``, ``https://...``, ``file:///path`` for a log that is followed, or a
            path for files that are read once.
        init_config: JSON text, a mapping, or "" for the plugin's defaults.

    Raises:
        SourceError: A value is of the wrong type, or makes no sense.
    """
    given = _checked(_mapping(init_config), _TYPES)
    notes = _notes(given)
    if open_params.startswith(("http://", "https://")):
        return Opened(_webhook(open_params, given), notes=notes)
    if open_params.startswith("file://"):
        kept = "the place in the log is not kept over restarts; the key 'state' of a source k8saudit-log does that"
        return Opened(LogOptions(open_params.removeprefix("file://")), notes=[*notes, kept])
    if not open_params or "://" in open_params:
        raise SourceError(f"open_params is {open_params!r}; expected http://:9765/k8s-audit, file:///path or a path")
    return Opened(path=open_params, notes=notes)


def translate_eks(open_params: str, init_config: str | Mapping[str, Any] = "") -> Opened:
    """
    Read a configuration of the plugin k8saudit-eks, whose ``open_params`` is the name of the cluster.

    Raises:
        SourceError: As ``translate``.
    """
    given = _checked(_mapping(init_config), _EKS_TYPES)
    if not open_params or "/" in open_params:
        raise SourceError(f"open_params is {open_params!r}; expected the name of an EKS cluster")
    notes = [f"{key} is not known and has no effect" for key in given if key not in _EKS_TYPES]
    notes += [f"{key} has no effect here" for key in ("buffer_size", "use_async", "max_event_size") if key in given]
    notes.append(
        "the place in the log is not kept over restarts; the key 'checkpoint' of a source k8saudit-eks does that"
    )
    options = CloudWatchOptions(
        open_params,
        poll_interval=float(given.get("polling_interval", _DEFAULTS.poll_interval)),
        since=float(given.get("shift", _DEFAULTS.since)),
        aws=AwsOptions(profile=given.get("profile", ""), region=given.get("region", "")),
    )
    return Opened(options, notes=notes)


def _mapping(init_config: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(init_config, str):
        return init_config
    if not init_config.strip():
        return {}
    try:
        value = json.loads(init_config)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"init_config is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise SourceError("init_config is no JSON object")
    return value


def _checked(given: Mapping[str, Any], types: Mapping[str, type]) -> Mapping[str, Any]:
    for key, kind in types.items():
        if given.get(key) is not None and type(given[key]) is not kind:
            found = type(given[key]).__name__
            raise SourceError(f"init_config.{key}: {given[key]!r} is of type {found}, not {kind.__name__}")
    return {key: value for key, value in given.items() if value is not None}


def _notes(given: Mapping[str, Any]) -> list[str]:
    notes = [f"{key} is not known and has no effect" for key in given if key not in _TYPES]
    notes += [
        f"{key} has no effect: no event is left out for its size"
        for key in ("maxEventSize", "maxEventBytes")
        if key in given
    ]
    if "useAsync" in given:
        notes.append("useAsync has no effect: it tunes Falco's plugin interface")
    return notes


def _webhook(open_params: str, given: Mapping[str, Any]) -> WebhookOptions:
    address = urlsplit(open_params)
    secure = address.scheme == "https"
    tls = TlsOptions(given.get("sslCertificate", _CERTIFICATE)) if secure else None
    size = given.get("webhookMaxBatchSize", WebhookOptions().max_body_bytes)
    if size < 1:
        raise SourceError("init_config.webhookMaxBatchSize is less than 1")
    listen = ListenOptions(address.hostname or _ALL_ADDRESSES, _port(open_params, address), tls)
    return WebhookOptions(listen, path=address.path or _PATH, max_body_bytes=size)


def _port(open_params: str, address: SplitResult) -> int:
    try:
        port = address.port
    except ValueError as error:
        raise SourceError(f"open_params {open_params}: {error}") from None
    return _PORT if port is None else port
