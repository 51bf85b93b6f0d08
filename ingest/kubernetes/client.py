"""
The API server, through the ``kubernetes`` client: its credentials, TLS and requests; the answers are read here, raw.

The client's own watch is not used: it decodes every object in full, tries again only once, and knows no bookmarks
(kubernetes-client/python#728, #2223). The package, slow to load, is imported on first use.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.kubernetes.options import EnrichmentOptions

CONNECT_TIMEOUT = 5.0
LIST_TIMEOUT = 60.0
WATCH_TIMEOUT = 400.0  # a watch ends by itself before
_MOST_LINE = 32 << 20
_MAX_PAGE_BYTES = 256 << 20


class Unreachable(Exception):
    """No API server can be asked, with what the configuration and the environment say."""


class Refused(Exception):
    """
    The API server answered with an error.

    Attributes:
        status: HTTP status.
        retry_after: Seconds it wants to be left alone, 0 if it does not say.
    """

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


@dataclass(frozen=True, slots=True)
class Listing:
    """How a kind is listed: the class of the client's API and the method of it."""

    api: str
    method: str
    metadata_only: bool = True


LISTINGS = {
    "pods": Listing("CoreV1Api", "list_pod_for_all_namespaces", metadata_only=False),
    "namespaces": Listing("CoreV1Api", "list_namespace"),
    "nodes": Listing("CoreV1Api", "list_node"),
    "serviceaccounts": Listing("CoreV1Api", "list_service_account_for_all_namespaces"),
    "services": Listing("CoreV1Api", "list_service_for_all_namespaces", metadata_only=False),
    "replicationcontrollers": Listing("CoreV1Api", "list_replication_controller_for_all_namespaces"),
    "replicasets": Listing("AppsV1Api", "list_replica_set_for_all_namespaces"),
    "deployments": Listing("AppsV1Api", "list_deployment_for_all_namespaces"),
}
_ACCEPT = "application/json;as={0};g=meta.k8s.io;v=v1,application/json"


def configuration(options: EnrichmentOptions) -> Any:
    """
    Return the client's configuration.

    Raises:
        Unreachable: Neither a service account nor a kubeconfig is there, or it cannot be used.
        ImportError: The package is not installed.
    """
    kubernetes = _package()
    config = kubernetes.config
    found = kubernetes.client.Configuration()
    try:
        if not options.kubeconfig and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=found)
        else:
            path = str(Path(options.kubeconfig).expanduser()) if options.kubeconfig else None
            config.load_kube_config(path, options.context or None, client_configuration=found)
    except (config.ConfigException, OSError, ValueError, TypeError, AttributeError) as error:
        raise Unreachable(f"no API server is known: {error}") from None
    found.retries = False  # the client would sleep as long as a server wishes, deaf to the end of the service
    return found


class Door:
    """One kind's way to the API server, for one thread; ``shut`` may be called from another."""

    def __init__(self, kind: str, configured: Any, selector: str = "") -> None:
        client = _package().client
        listing = LISTINGS[kind]
        self._client = client.ApiClient(configured)
        self._method = getattr(getattr(client, listing.api)(self._client), listing.method)
        self._metadata_only = listing.metadata_only
        self._selector = {"field_selector": selector} if selector else {}
        self._open: Any = None
        self._shut = False

    def page(self, limit: int, after: str) -> bytes:
        """Return a page of the list as JSON; ``after`` is the token of the page before. Raises Refused, OSError ..."""
        more = {"_continue": after} if after else {}
        with self._answer("PartialObjectMetadataList", LIST_TIMEOUT, limit=limit, **more) as response:
            data: bytes = response.read(_MAX_PAGE_BYTES)
            return data

    def lines(self, version: str, seconds: int) -> Iterator[bytes]:
        """Yield what changes after a version, a JSON line each, until the server ends it after some seconds."""
        query = {"watch": True, "allow_watch_bookmarks": True, "resource_version": version, "timeout_seconds": seconds}
        with self._answer("PartialObjectMetadata", WATCH_TIMEOUT, **query) as response:
            yield from _lines(response)

    def shut(self) -> None:
        """Wake the thread that waits for an answer; there are no further ones."""
        self._shut = True
        response = self._open
        if response is not None:
            with contextlib.suppress(Exception):  # it may be over already, and what then is raised is no matter
                response.shutdown()

    @contextlib.contextmanager
    def _answer(self, form: str, read_timeout: float, **query: Any) -> Iterator[Any]:
        if self._metadata_only:
            self._client.set_default_header("Accept", _ACCEPT.format(form))
        response = self._ask(read_timeout, query)
        self._open = response
        try:
            if self._shut:
                raise OSError("the watch is over")
            yield response
        finally:
            self._open = None
            response.close()
            response.release_conn()

    def _ask(self, read_timeout: float, query: dict[str, Any]) -> Any:
        try:
            return self._method(
                **query, **self._selector, _preload_content=False, _request_timeout=(CONNECT_TIMEOUT, read_timeout)
            )
        except _package().client.ApiException as error:
            raise Refused(int(error.status or 0), _told(error), _retry_after(error)) from None


def _package() -> Any:
    import kubernetes.client
    import kubernetes.config

    return kubernetes


def _lines(response: Any) -> Iterator[bytes]:
    """Yield whole lines; what stands behind the last line end was cut off and is none."""
    rest = bytearray()
    for part in response.stream(amt=None, decode_content=True):
        rest += part
        if len(rest) > _MOST_LINE:
            raise ValueError(f"a line of the watch is longer than {_MOST_LINE} bytes")
        if b"\n" in part:
            *whole, last = bytes(rest).split(b"\n")
            yield from (line for line in whole if line.strip())
            rest = bytearray(last)


def _told(error: Any) -> str:
    reason = " ".join(str(error.reason or "").split())[:200]
    return f"{error.status} {reason}" if error.status else reason


def _retry_after(error: Any) -> float:
    value = (error.headers or {}).get("Retry-After", "") if error.headers is not None else ""
    return float(value) if str(value).isdecimal() else 0.0
