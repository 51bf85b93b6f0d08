"""Falco's file switches syslog on; a machine without one, as a container, is no reason not to start."""

import logging
from collections import Counter
from pathlib import Path

import pytest

from lanner.config import read
from lanner.outputs import syslog
from lanner.outputset import make_outputs

CONFIG = "sources: [{type: files, paths: [/tmp]}]\nstdout_output: {enabled: false}\nsyslog_output: {enabled: true}\n"


@pytest.mark.parametrize("there", [True, False])
def test_without_syslog_nothing_is_sent_there_and_that_is_told(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(syslog, "LOCAL", str(tmp_path if there else tmp_path / "nothing"))
    config = read(CONFIG, "lanner.yaml", (f"outbox.path={tmp_path}/outbox.sqlite",))
    with caplog.at_level(logging.WARNING):
        made = make_outputs(config, Counter())
    assert [output.name for output in made] == (["syslog"] if there else [])
    assert bool([r for r in caplog.records if "has no syslog" in r.getMessage()]) != there
