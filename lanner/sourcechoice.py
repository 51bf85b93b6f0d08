"""Which of the configured sources run, as the command line wants it (spec: surface CL05, CL06)."""

from collections.abc import Sequence
from dataclasses import replace

from lanner.config import Config
from lanner.errors import UserError
from lanner.sources import SourceConfig


def chosen(config: Config, enabled: Sequence[str], disabled: Sequence[str]) -> Config:
    """
    Return the configuration with the sources that are wanted.

    Args:
        config: The configuration.
        enabled: Only these run; none for all. Each is an event source, such as k8s_audit, or a source's name or type.
        disabled: These do not run.

    Raises:
        UserError: Both are given, a name fits no source, or no source is left.
        SourceStartError: The options of a source make no sense.
    """
    if not enabled and not disabled:
        return config
    if enabled and disabled:
        raise UserError("--enable-source and --disable-source exclude each other")
    words = {source.name: _words(source) for source in config.sources}
    for name in (*enabled, *disabled):
        if not any(name in known for known in words.values()):
            every = ", ".join(dict.fromkeys(word for known in words.values() for word in known))
            raise UserError(f"no configured source is {name!r}; there are {every}")
    left = tuple(source for source in config.sources if _runs(words[source.name], enabled, disabled))
    if not left:
        raise UserError("--disable-source leaves no source")
    return replace(config, sources=left)


def _words(source: SourceConfig) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in (source.open().event_source, source.type, source.name) if word))


def _runs(words: Sequence[str], enabled: Sequence[str], disabled: Sequence[str]) -> bool:
    return any(word in enabled for word in words) if enabled else not any(word in disabled for word in words)
