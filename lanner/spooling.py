"""Where webhooks spool: beside the outbox, unless the configuration says where."""

from dataclasses import replace
from pathlib import Path

from lanner.config import NO_OUTBOX, Config
from lanner.sources import SourceConfig
from lanner.statedir import state_directory


def with_spools(config: Config) -> Config:
    """Return the configuration with a spool for each webhook that may use one; without an outbox there is none."""
    if config.outbox.path == NO_OUTBOX:
        return config
    folder = Path(config.outbox.path).parent if config.outbox.path else state_directory()
    return replace(config, sources=tuple(_placed(source, folder) for source in config.sources))


def _placed(source: SourceConfig, folder: Path) -> SourceConfig:
    if source.type != "k8saudit" or source.options.spool.path or not _spools(source):
        return source
    path = folder / f"spool-{source.name.replace('/', '-')}"
    spool = replace(source.options.spool, path=str(path))
    return replace(source, options=replace(source.options, spool=spool))


def _spools(source: SourceConfig) -> bool:
    return bool(source.options.overload == "spool" or source.options.ack == "spooled")
