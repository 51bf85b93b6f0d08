"""The running service as its web endpoints and metrics see it."""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.base import Health
from lanner import rulefiles
from lanner.custody import Custody
from lanner.detect import Detector
from lanner.pipeline import Pipeline
from lanner.reload import Reloader
from lanner.supervision import Kept


@dataclass(slots=True)
class Live:
    """
    What runs.

    Attributes:
        reloader: Knows configuration and rules, and changes them.
        detector, pipeline, custody: From events to alerts that are safe.
        sources: Where events come from.
        outputs: Counts of the outputs, ``alerts_delivered:NAME`` and the like.
        started_ns: Nanoseconds since the epoch.
    """

    reloader: Reloader
    detector: Detector
    pipeline: Pipeline
    custody: Custody
    sources: Sequence[Kept]
    outputs: Counter[str]
    started_ns: int = field(default_factory=time.time_ns)

    def problems(self) -> dict[str, str]:
        """Return what does not work, by the name of a source; {} when the service is ready."""
        found: dict[str, Health] = {source.name: source.health() for source in self.sources}
        return {name: health.detail or "does not work" for name, health in found.items() if not health.ok}

    def file_hashes(self) -> dict[str, dict[str, str]]:
        """Return the SHA-256 of each file read, by kind (``config``, ``rules``) and name."""
        loaded = self.reloader.loaded
        rules = [str(path) for path in rulefiles.find(loaded.config.rules_files)]
        return {"config": _hashes(loaded.config_files), "rules": _hashes(rules)}


def _hashes(paths: Sequence[str]) -> dict[str, str]:
    found = {}
    for path in paths:
        try:
            found[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError:
            continue
    return found
