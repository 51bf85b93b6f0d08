"""Falco's ``engine`` section starts the source that does the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.syscalls.agent import HostOptions
from lanner import rulefiles
from lanner.config import read
from lanner.errors import ConfigError
from lanner.filesource import FilesOptions
from tests.ingest.syscalls.scap.made import calls, written
from tests.lanner.support import lanner


def sources(**keys: Any) -> list[tuple[str, Any]]:
    return [(source.type, source.options) for source in read(json.dumps(keys), "falco.yaml").sources]


@pytest.mark.parametrize("kind", ["modern_ebpf", "ebpf", "kmod"])
def test_a_kernel_driver_is_the_source_for_this_host(kind: str) -> None:
    assert sources(engine={"kind": kind}) == [("syscall", HostOptions())]
    small = sources(engine={"kind": kind, kind: {"buf_size_preset": 1, "drop_failed_exit": True}})
    assert small == [("syscall", HostOptions(bulk_bytes=1 << 20))]


def test_a_source_for_this_host_that_is_configured_is_the_one() -> None:
    mine = {"type": "syscall", "mode": "full"}
    assert sources(engine={"kind": "modern_ebpf"}, sources=[mine]) == [("syscall", HostOptions(mode="full"))]


def test_without_a_driver_nothing_is_added() -> None:
    found = sources(engine={"kind": "nodriver"}, sources=[{"type": "k8saudit"}])
    assert [kind for kind, _ in found] == ["k8saudit"]


def test_a_replay_reads_a_capture() -> None:
    keys = {"kind": "replay", "replay": {"capture_file": "/tmp/x.scap"}}
    assert sources(engine=keys) == [("files", FilesOptions(("/tmp/x.scap",)))]


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"kind": "replay"}, "engine.replay.capture_file: kind replay wants a file"),
        ({"kind": "modern_ebpf", "modern_ebpf": {"buf_size_preset": 11}}, "1 to 10, not 11"),
        ({"kind": "gvisor"}, "engine.kind"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(engine: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"falco\.yaml") as raised:
        sources(engine=engine, sources=[{"type": "k8saudit"}])
    assert message in str(raised.value)


def test_falcos_configuration_replays_a_capture(tmp_path: Path) -> None:
    (tmp_path / "trace.scap").write_bytes(written(calls()))
    (tmp_path / "rules.yaml").write_text(
        "- {rule: r, desc: d, condition: evt.type=kill, output: '%proc.name %evt.res', priority: INFO}\n"
    )
    (tmp_path / "falco.yaml").write_text(
        "engine: {kind: replay, replay: {capture_file: trace.scap}}\nrules_files: [rules.yaml]\n"
        f"outbox: {{path: {tmp_path / 'outbox'}}}\nfalco_libs: {{thread_table_size: 5}}\n"
    )
    config = (tmp_path / "falco.yaml").read_text().replace("trace.scap", str(tmp_path / "trace.scap"))
    (tmp_path / "falco.yaml").write_text(config.replace("[rules.yaml]", f"[{tmp_path / 'rules.yaml'}]"))
    done = lanner("run", "-c", tmp_path / "falco.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Informational bash ESRCH\n")
    assert "falco_libs: has no effect" in done.stderr
    again = lanner("run", "-c", tmp_path / "falco.yaml", "-e", tmp_path / "trace.scap")
    assert again.stdout.count("bash ESRCH") == 1


def test_all_keys_that_falco_ships_are_taken() -> None:
    config = read((Path(__file__).parent / "falco.yaml").read_text(), "falco.yaml")
    assert [source.type for source in config.sources] == ["syscall"]
    assert config.output_names == ("stdout", "syslog")


def test_what_is_less_severe_than_the_level_of_the_log_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "trace.scap").write_bytes(written(calls()))
    (tmp_path / "rules.yaml").write_text("- {rule: r, desc: d, condition: evt.type=kill, output: o, priority: INFO}\n")
    for level, lines in (("info", True), ("error", False)):
        done = lanner(
            "run", "-r", tmp_path / "rules.yaml", "-e", tmp_path / "trace.scap", "-o", f"log_level={level}",
            "-o", f"outbox.path={tmp_path / level}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert (" INFO " in done.stderr) == lines


def test_falcos_places_for_own_rules_may_be_empty_or_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local, folder, other = tmp_path / "local.yaml", tmp_path / "rules.d", tmp_path / "rules.yaml"
    monkeypatch.setattr(rulefiles, "OPTIONAL", (str(local), str(folder)))
    other.write_text("[]")
    given = [str(other), str(local), f"{folder}/"]
    assert rulefiles.find(given) == [other]
    folder.mkdir()
    assert rulefiles.find(given) == [other]
    (folder / "a.yaml").write_text("[]")
    local.write_text("[]")
    assert rulefiles.find(given) == [other, local, folder / "a.yaml"]
    local.unlink()
    with pytest.raises(rulefiles.RuleFileError):
        rulefiles.find([str(local)])
    with pytest.raises(rulefiles.RuleFileError):
        rulefiles.find([str(other), str(tmp_path / "missing.yaml")])
