"""Where webhooks spool when nobody says: beside the outbox, each for itself."""

import json
from pathlib import Path

import pytest

from lanner import workers
from lanner.config import Config, read
from lanner.spooling import with_spools

TWO = """
sources:
  - type: k8saudit
  - {type: k8saudit, name: a/b, listen: {port: 9766}}
"""


def paths(config: Config) -> list[str]:
    return [source.options.spool.path for source in config.sources]


def test_a_webhook_spools_beside_the_outbox() -> None:
    config = with_spools(read(TWO, "c", ["outbox.path=/data/out.sqlite"]))
    assert paths(config) == ["/data/spool-k8saudit", "/data/spool-a-b"]
    assert with_spools(config) == config


def test_without_a_path_of_the_outbox_it_is_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/state")
    assert paths(with_spools(read(TWO, "c"))) == ["/state/spool-k8saudit", "/state/spool-a-b"]


@pytest.mark.parametrize(
    ("more", "path"),
    [
        (["outbox.path=:none"], ""),
        (["sources[0].overload=shed"], ""),
        (["sources[0].overload=shed", "sources[0].ack=spooled"], "/data/spool-k8saudit"),
        (["sources[0].spool={path: /given}"], "/given"),
    ],
)
def test_what_is_said_holds(more: list[str], path: str) -> None:
    one = "sources: [{type: k8saudit}]\noutbox: {path: /data/out.sqlite}"
    assert paths(with_spools(read(one, "c", more))) == [path]


def test_other_sources_have_none() -> None:
    config = read("sources: [{type: files, paths: [/x]}]", "c")
    assert with_spools(config) == config


def test_each_worker_has_its_own() -> None:
    config = read("sources: [{type: k8saudit}]\noutbox: {path: /data/out.sqlite}\nworkers: 2", "c")
    shares = [workers.share(config, number) for number in (1, 2)]
    assert [paths(share) for share in shares] == [["/data/spool-k8saudit"], ["/data/spool-k8saudit-2"]]
    assert [with_spools(share) for share in shares] == shares


def test_the_service_makes_it_at_its_start(tmp_path: Path) -> None:
    from tests.lanner.support import audit_event
    from tests.lanner.test_service import Running

    running = Running(tmp_path)
    assert running.post(audit_event()) == 200
    assert running.end() == 0
    assert json.loads((tmp_path / "lanner.yaml").read_text())["outbox"]["path"] == str(tmp_path / "outbox.sqlite")
    assert (tmp_path / "spool-k8saudit").is_dir()
