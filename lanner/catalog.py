"""The fields of all sources together: what rules may ask, whether or not a source is configured."""

from collections.abc import Iterator, Mapping

from engine.common import common_fields
from engine.fields import Field, FieldCatalog, Type
from ingest.cloudtrail.fields import cloudtrail_table
from ingest.k8saudit.fields import k8saudit_table
from ingest.syscalls.fields import syscall_table

PLUGINS = {
    "cloudtrail": "0.17.1",
    "json": "0.7.4",
    "k8saudit": "0.18.0",
    "k8saudit-eks": "0.12.0",
    "k8saudit-gke": "0.9.0",
    "k8saudit-aks": "0.6.0",
    "k8saudit-ovh": "0.2.0",
    "container": "0.7.1",
    "k8smeta": "0.4.1",
}
"""Falco's plugins whose fields and sources are built in, and the version whose meaning they have."""


def build_catalog(hostname: str, static: Mapping[str, str] | None = None) -> FieldCatalog:
    """
    Return the field tables of all sources.

    Args:
        hostname: Answers ``evt.hostname``.
        static: Texts that answer ``static.NAME``, by name.
    """
    common = [*common_fields(hostname), *_static(static or {})]
    tables = (syscall_table(common), cloudtrail_table(common), k8saudit_table(common))
    return FieldCatalog({table.source: table for table in tables}, PLUGINS)


def _static(texts: Mapping[str, str]) -> Iterator[Field]:
    for name, text in texts.items():
        yield Field(f"static.{name}", Type.STRING, "As the configuration says.", lambda _event, text=text: text)
