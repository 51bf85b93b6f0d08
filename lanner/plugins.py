"""Falco's ``plugins`` section: the plugins it names, as the sources that do the same here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from ingest.base import SourceError
from ingest.cloudtrail.record import SOURCE as CLOUDTRAIL
from ingest.k8saudit.record import SOURCE as K8S_AUDIT
from lanner.errors import ConfigError
from lanner.settings import Reader
from lanner.sources import SourceConfig
from lanner.yamltree import plain

_BUILT_IN = {
    "json": "the fields of the json plugin are built in",
    "container": "the fields of the container plugin are built in",
    "k8smeta": "the fields of the k8smeta plugin are built in; the key 'enrichment' fills them",
}
_SOURCES = ("cloudtrail", "k8saudit", "k8saudit-eks")


@dataclass(frozen=True, slots=True)
class InitConfig:
    """A plugin's own configuration: JSON text, or the mapping that it stands for."""

    value: str | Mapping[str, Any] = ""

    @classmethod
    def from_node(cls, reader: Reader, node: yaml.Node, path: str) -> "InitConfig | None":
        """Read it; what it means is known only to the plugin."""
        try:
            given = plain(node)
        except ConfigError as error:
            reader.findings.append(str(error))
            return None
        if given is None:
            return cls()
        if not isinstance(given, str | dict):
            reader.wrong(node, path, "a plugin's init_config is a mapping or JSON text")
            return None
        return cls(given)


@dataclass(frozen=True, slots=True)
class PluginKeys:
    """
    The keys of a plugin.

    Attributes:
        name: Of the plugin.
        library_path: Has no effect: what the plugin does is built in.
        init_config: The plugin's own configuration, a mapping or JSON text.
        open_params: What it reads.
    """

    name: str
    library_path: str = ""
    init_config: InitConfig = field(default_factory=InitConfig)
    open_params: str = ""


@dataclass(frozen=True, slots=True)
class PluginConfig:
    """An entry of ``plugins``, and where it stands."""

    keys: PluginKeys
    node: yaml.Node = field(compare=False, repr=False)
    path: str = ""

    @classmethod
    def from_node(cls, reader: Reader, node: yaml.Node, path: str) -> "PluginConfig | None":
        """Read an entry."""
        keys = reader.section(node, PluginKeys, path)
        return cls(keys, node, path) if keys else None


def sources_of(
    plugins: Sequence[PluginConfig], load: Sequence[str] | None, reader: Reader, root: yaml.Node
) -> tuple[SourceConfig, ...]:
    """
    Return the sources that plugins stand for, in the order of ``load``; None loads all, as in Falco.

    What is wrong becomes a finding of the reader.
    """
    by_name = {plugin.keys.name: plugin for plugin in plugins}
    found = []
    for name in by_name if load is None else load:
        if name in by_name:
            found.append(_source_of(by_name[name], reader))
        else:
            reader.wrong(root, "load_plugins", f"no plugin {name!r} is in 'plugins'")
    return tuple(source for source in found if source)


def _source_of(plugin: PluginConfig, reader: Reader) -> SourceConfig | None:
    keys = plugin.keys
    if keys.name in _BUILT_IN:
        return None
    if keys.name not in _SOURCES:
        known = ", ".join((*_SOURCES, *_BUILT_IN))
        reader.wrong(plugin.node, plugin.path, f"plugin {keys.name!r} is not known here; known are {known}")
        return None
    try:
        return _translated(keys)
    except (SourceError, ValueError) as error:
        reader.wrong(plugin.node, plugin.path, str(error))
        return None


def _translated(keys: PluginKeys) -> SourceConfig:
    if keys.name == "cloudtrail":
        from ingest.cloudtrail import open_params as cloudtrail

        trail = cloudtrail.translate(keys.open_params, keys.init_config.value)
        return _configured(keys.name, trail.options, trail.path, CLOUDTRAIL, trail.notes)
    from ingest.k8saudit import open_params as k8saudit

    translate = k8saudit.translate_eks if keys.name == "k8saudit-eks" else k8saudit.translate
    audit = translate(keys.open_params, keys.init_config.value)
    return _configured(keys.name, audit.options, audit.path, K8S_AUDIT, audit.notes)


def _configured(name: str, options: Any, path: str, source: str, notes: Sequence[str]) -> SourceConfig:
    from lanner.filesource import FilesOptions

    return SourceConfig.of(name, options or FilesOptions((path,), source), notes)
