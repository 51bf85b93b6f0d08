"""The page on coming from Falco and falcosidekick: its configurations load, and its tables name keys that there are."""

import re
from pathlib import Path

import pytest
import yaml

from lanner import config
from lanner.config import Config, read_all
from lanner.outputs.aws import AwsOutputOptions
from lanner.outputs.kinds import OUTPUT_TYPES
from lanner.settings import keys_of, walk
from tests.lanner.support import ROOT

PAGE = (ROOT / "docs" / "migration.md").read_text("utf-8")
FENCES = re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
LANNER = [text for name, text in FENCES if name == "lanner.yaml"]


def given(name: str) -> str:
    (text,) = (text for found, text in FENCES if found == name)
    return str(text)


def loaded(text: str, folder: Path) -> config.Loaded:
    """Read a configuration with the secrets that it names in a folder."""
    for name in re.findall(r"/run/secrets/([\w-]+)", text):
        (folder / name).write_text("https://hooks.example.com/x\n")
    return read_all(text.replace("/run/secrets", str(folder)), "lanner.yaml")


def rows(heading: str) -> list[tuple[str, str]]:
    table = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [(left, right) for left, right in re.findall(r"^\| (.*?) \| (.*?) \|$", table, re.MULTILINE)][1:]


def test_every_configuration_of_the_page_is_read_here() -> None:
    assert PAGE.count("```yaml") == len(FENCES)
    assert {name for name, _ in FENCES} == {"lanner.yaml", "falco.yaml", "falcosidekick.yaml"}


@pytest.mark.parametrize("text", [text for text in LANNER if "sources" in text])
def test_the_configurations_for_lanner_load_without_notes(text: str, tmp_path: Path) -> None:
    assert loaded(text, tmp_path).notes == ()


def test_falcos_configuration_loads_and_is_what_the_new_one_says(tmp_path: Path) -> None:
    old = read_all(given("falco.yaml"), "falco.yaml")
    new = loaded(next(text for text in LANNER if "static_fields" in text), tmp_path).config
    assert [note.split(": ")[1] for note in old.notes] == ["buffered_outputs", "outputs_queue"]
    assert [source.type for source in old.config.sources] == [source.type for source in new.sources]
    assert old.config.sources[0].options.listen.port == new.sources[0].options.listen.port == 9765
    assert old.config.sources[0].options.path == new.sources[0].options.path
    assert old.config.sources[1].options.queue == new.sources[1].options.queue
    for key in ("rules_files", "priority", "json_output"):
        assert getattr(old.config, key) == getattr(new, key)


def test_each_output_of_falcosidekick_has_its_counterpart(tmp_path: Path) -> None:
    old = yaml.safe_load(given("falcosidekick.yaml"))
    new = loaded(next(text for text in LANNER if "static_fields" in text), tmp_path).config
    by_type = {output.type: output for output in new.outputs}
    aws = old.pop("aws")
    outputs = {**old, **{name: found for name, found in aws.items() if isinstance(found, dict)}}
    del outputs["customfields"]
    assert set(by_type) == set(outputs)
    for name, found in outputs.items():
        assert by_type[name].minimum_priority.name.lower() == found.get("minimumpriority", "debug")
    assert by_type["alertmanager"].options.extra_labels == {"team": "security"}
    assert (by_type["s3"].options.bucket, by_type["s3"].options.aws.region) == ("acme-alerts", "eu-west-1")


def test_falcos_file_can_be_one_of_several(tmp_path: Path) -> None:
    (tmp_path / "falco.yaml").write_text(given("falco.yaml").replace("enabled: true, url", "enabled: false, url"))
    (tmp_path / "outputs.yaml").write_text("outputs: [{type: http, name: room, url: 'http://127.0.0.1:9'}]")
    (text,) = (text for text in LANNER if "sources" not in text)
    made = text.replace("/etc/falco", str(tmp_path)).replace("/etc/lanner", str(tmp_path))
    assert read_all(made, "lanner.yaml").config.output_names == ("stdout", "room")


@pytest.mark.parametrize(("old", "new"), rows("falcosidekick, key by key"))
def test_a_row_names_an_output_and_keys_that_it_has(old: str, new: str) -> None:
    kind, *keys = re.findall(r"`([^`]*)`", new) or [""]
    assert old
    if kind not in OUTPUT_TYPES:
        known = {*keys_of(Config), "content", "template", "headers", "tls", "aws", "minimum_priority"}
        assert not kind or kind in known or not kind.isidentifier()
        return
    known_keys = {path.split("[")[0].split(".")[0] for path, _ in walk(OUTPUT_TYPES[kind].load()[0])}
    assert keys, "it says which keys"
    assert set(keys) <= known_keys


def test_keys_of_aws_and_tls_are_those_that_there_are() -> None:
    aws = next(new for old, new in rows("falcosidekick, key by key") if "aws.rolearn" in old)
    named = re.findall(r"`(\w+)`", aws)[1:]
    assert set(named) <= {path.removeprefix("aws.") for path, _ in walk(AwsOutputOptions)}
    tls = next(new for old, new in rows("falcosidekick, key by key") if "mutualtls" in old)
    http = {path.removeprefix("tls.") for path, _ in walk(OUTPUT_TYPES["http"].load()[0])}
    assert set(re.findall(r"`(\w+)`", tls)[1:]) <= http


def test_every_key_that_falco_ships_is_in_the_table() -> None:
    told = {key for old, _ in rows("falco.yaml, key by key") for key in re.findall(r"`(\w+)`", old)}
    shipped = yaml.safe_load((Path(__file__).parent / "falco.yaml").read_text())
    assert set(shipped) <= told
