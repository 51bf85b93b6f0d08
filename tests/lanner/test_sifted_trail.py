"""Trail files of which only candidates are decoded raise the alerts that they raise when all is."""

from pathlib import Path

import pytest

from engine.alert import Alert
from engine.evaluate import Engine
from engine.load import LoadOptions
from ingest.cloudtrail import files
from ingest.cloudtrail.trailfile import TrailRecords
from lanner import rulefiles
from lanner.catalog import build_catalog
from lanner.detect import Detector
from lanner.payloads import find
from lanner.scan import Scan
from tests.shared import SHARED, needs_shared


def scanned(rules: list[str], folder: Path) -> tuple[list[Alert], Scan]:
    engine = Engine(rulefiles.load(rules, build_catalog("h"), LoadOptions()))
    scan = Scan(Detector(engine, "h"))
    paths = [payload.path for payload in find([str(folder)])]
    return [alert for alerts in scan.alerts(paths) for alert in alerts], scan


@needs_shared
@pytest.mark.parametrize("rules", ["bundled/aws", "falco"])
def test_all_shared_files_raise_the_same_alerts(rules: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SHARED
    chosen = (
        [str(next((SHARED / "falco-rules" / "plugins").rglob("*cloudtrail*.yaml")))] if rules == "falco" else [rules]
    )
    sifted, scan = scanned(chosen, SHARED / "cloudtrail")
    monkeypatch.setattr(files, "glance", lambda data, origin: None)
    whole, other = scanned(chosen, SHARED / "cloudtrail")
    assert sifted == whole
    assert len(whole) > 10
    assert scan.detector.tally == other.detector.tally
    assert scan.outcome.skipped == other.outcome.skipped


@needs_shared
def test_shared_files_are_sifted() -> None:
    assert SHARED
    paths = sorted((SHARED / "cloudtrail" / "invictus").rglob("*.json.gz"))
    kinds = {type(files.decode(path.read_bytes(), "o").events) for path in paths}
    assert kinds == {TrailRecords}
