"""What versions there are to tell, under the keys that Falco's tools read (spec: surface WB02)."""

from typing import Any

from engine.load import ENGINE_VERSION
from lanner import __version__
from lanner.catalog import PLUGINS


def versions() -> dict[str, Any]:
    """Return the versions of the program, of the engine and of the plugins that are built in."""
    return {
        "lanner_version": __version__,
        "falco_version": __version__,
        "engine_version": ENGINE_VERSION.split(".")[1],
        "engine_version_semver": ENGINE_VERSION,
        "plugin_versions": dict(PLUGINS),
    }
