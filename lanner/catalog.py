"""The fields of all sources together: what rules may ask, whether or not a source is configured."""

from engine.common import common_fields
from engine.fields import FieldCatalog
from ingest.cloudtrail.fields import cloudtrail_table
from ingest.k8saudit.fields import k8saudit_table
from ingest.syscalls.fields import syscall_table


def build_catalog(hostname: str) -> FieldCatalog:
    """Return the field tables of all sources; ``hostname`` answers ``evt.hostname``."""
    common = common_fields(hostname)
    tables = (syscall_table(common), cloudtrail_table(common), k8saudit_table(common))
    return FieldCatalog({table.source: table for table in tables})
