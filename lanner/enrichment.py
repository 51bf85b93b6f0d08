"""Metadata of a Kubernetes cluster for the service: the watches run beside the sources, alerts get what they find."""

import contextlib
import importlib.util
import logging
from collections.abc import AsyncIterator

from engine.load import AppendOutput
from ingest.k8saudit.record import SOURCE as K8S_AUDIT
from ingest.kubernetes.cluster import HERE
from ingest.kubernetes.options import EnrichmentOptions
from lanner.errors import ConfigError

_log = logging.getLogger("lanner.kubernetes")


def alert_fields(options: EnrichmentOptions) -> list[AppendOutput]:
    """Return the addition to alerts: labels and owner of what a request was about, beside what the rules name."""
    if not options.enabled or not options.alert_fields:
        return []
    fields = tuple((name, f"%{name}") for name in options.alert_fields)
    return [AppendOutput(K8S_AUDIT, frozenset(), "", "", fields, False)]


@contextlib.asynccontextmanager
async def watching(options: EnrichmentOptions) -> AsyncIterator[None]:
    """
    Watch the cluster, if that is wanted, until the context ends.

    Raises:
        ConfigError: The options make no sense, or the package kubernetes is not installed.
    """
    if not options.enabled:
        yield
        return
    if importlib.util.find_spec("kubernetes") is None:
        raise ConfigError("enrichment needs the package kubernetes: install 'lanner[kubernetes]'")
    from ingest.kubernetes.watch import ClusterWatch

    try:
        watch = ClusterWatch(options, HERE)
    except ValueError as error:
        raise ConfigError(f"enrichment.{error}") from None
    await watch.start()
    try:
        yield
    finally:
        await watch.stop()
        _log.info("enrichment: %s", ", ".join(f"{what} {count}" for what, count in sorted(watch.counters.items())))
