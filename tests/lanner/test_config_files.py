"""Several files as one configuration, values from elsewhere, and Falco's own file."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from lanner.config import Loaded, load_all, read, read_all
from lanner.configsample import sample
from lanner.configschema import schema
from lanner.errors import ConfigError
from lanner.redact import MASK, redacted
from tests.lanner.support import lanner

MINIMAL = "sources: [{type: k8saudit}]\n"


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def loaded(text: str) -> Loaded:
    return read_all(MINIMAL + text, "f.yaml")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${HERE}", "here"),
        ("a-${HERE}/${HERE}", "a-here/here"),
        ("$${HERE}", "${HERE}"),
        ("$HERE", "$HERE"),
        ("${GONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ('"${HERE}"', "here"),
    ],
)
def test_variables(value: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "here")
    monkeypatch.setenv("EMPTY", "")
    assert loaded(f"file_output:\n  filename: {value}").config.file_output.filename == expected


def test_what_a_variable_holds_is_read_as_yaml_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCH", "true")
    monkeypatch.setenv("GRACE", "7")
    config = loaded('json_output: ${SWITCH}\nshutdown_grace: "${GRACE}"').config
    assert (config.json_output, config.shutdown_grace) == (True, 7.0)


def test_a_variable_that_is_not_set_is_empty_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GONE", raising=False)
    found = loaded("file_output:\n  filename: x${GONE}")
    assert found.config.file_output.filename == "x"
    assert found.notes == ("f.yaml:3: ${GONE} is not set and counts as empty; ${GONE:-default} gives it a default",)


def test_a_value_from_a_file_loses_its_line_end_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" s p \n")
    config = loaded(f"file_output: {{filename: '${{file:{tmp_path}/secret}}'}}").config
    assert config.file_output.filename == " s p "


def test_a_file_that_cannot_be_read_is_a_mistake_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"f.yaml:2: cannot read \$\{file:/none\}: No such file or directory"):
        loaded("file_output: {filename: '${file:/none}'}")


def test_keys_are_not_expanded_and_an_aliased_value_is_expanded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "$${A}")
    config = loaded("static_fields: {one: &x '${A}', two: *x, '${A}': y}").config
    assert config.static_fields == {"one": "$${A}", "two": "$${A}", "${A}": "y"}


def test_files_are_merged_in_order_with_their_strategies(tmp_path: Path) -> None:
    write(
        tmp_path,
        main="rules_files: [a]\npriority: info\nrule_matching: first\n"
        "config_files: [1.yaml, {path: 2.yaml, strategy: override}, {path: 3.yaml, strategy: add-only}]\n" + MINIMAL,
    )
    one, two, three = (str(tmp_path / f"{number}.yaml") for number in (1, 2, 3))
    main = tmp_path / "main.yaml"
    main.write_text(main.read_text().replace("1.yaml", one).replace("2.yaml", two).replace("3.yaml", three))
    Path(one).write_text("rules_files: [b]\npriority: error\nshutdown_grace: 3\n")
    Path(two).write_text("rules_files: [c]\n")
    Path(three).write_text("rules_files: [d]\nshutdown_grace: 9\njson_output: true\n")
    found = load_all(str(main), ["rule_matching=all"])
    config = found.config
    assert config.rules_files == ("c",)
    assert (config.priority.name, config.shutdown_grace, config.json_output) == ("ERROR", 3.0, True)
    assert config.rule_matching == "all"
    assert [name for name, _ in found.files] == [str(main), one, two, three]


def test_appending_is_the_default_and_a_folder_is_read_by_name(tmp_path: Path) -> None:
    write(tmp_path, b="rules_files: [b]", a="rules_files: [a]")
    (tmp_path / "c.txt").write_text("rules_files: [c]")
    config = read(f"rules_files: [main]\nconfig_files: [{tmp_path}]\n{MINIMAL}", "f.yaml")
    assert config.rules_files == ("main", "a", "b")


def test_the_command_line_may_name_the_files(tmp_path: Path) -> None:
    write(tmp_path, more="priority: error")
    config = read(MINIMAL, "f.yaml", ["priority=alert", f"config_files[]={tmp_path}/more.yaml"])
    assert config.priority.name == "ALERT"


def test_a_file_that_is_not_there_is_told_of_and_one_that_names_more_is_a_mistake(tmp_path: Path) -> None:
    assert loaded("config_files: [/none]").notes == ("f.yaml:1: config_files: /none is not there and is left out",)
    write(tmp_path, more="config_files: [x]\nprioriti: x")
    with pytest.raises(ConfigError) as error:
        loaded(f"config_files: [{tmp_path}/more.yaml]")
    assert str(error.value).splitlines()[1:] == [
        f"{tmp_path}/more.yaml:1: config_files: only the main file can name more files",
        f"{tmp_path}/more.yaml:2: prioriti: unknown key; did you mean 'priority'?",
    ]


def test_keys_of_falco_without_effect_are_told_of_once_and_stop_nothing() -> None:
    found = loaded("buffered_outputs: false\nrules_file: [bundled]\ngrpc: {enabled: false}\n")
    assert found.config.rules_files == ("bundled",)
    assert [note.split(":")[2].strip() for note in found.notes] == ["rules_file", "buffered_outputs", "grpc"]


def test_the_old_and_the_new_name_of_a_key_together_are_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"f.yaml:2: rules_file: is the old name of rules_files"):
        loaded("rules_file: a\nrules_files: [b]")


def test_static_fields_are_fields_of_rules_and_messages(tmp_path: Path) -> None:
    rule = "- rule: r\n  desc: d\n  condition: static.env = prod\n  output: seen in %static.env\n  priority: info\n"
    write(tmp_path, rules=f"{rule}  source: aws_cloudtrail\n")
    about = {"eventVersion": "1.09", "eventSource": "s3.amazonaws.com", "eventName": "X", "awsRegion": "eu-west-1"}
    record = {"eventID": "1", "eventTime": "2026-01-01T00:00:00Z", "eventType": "AwsApiCall", **about}
    (tmp_path / "events.json").write_text(json.dumps({"Records": [record]}))
    write(
        tmp_path,
        config=f"static_fields: {{env: prod}}\nrules_files: [{tmp_path}/rules.yaml]\n"
        f"outbox: {{path: ':none'}}\nsources: [{{type: files, paths: [{tmp_path}/events.json]}}]\n",
    )
    done = lanner("run", "-c", str(tmp_path / "config.yaml"))
    assert done.returncode == 0, done.stderr
    assert "Informational seen in prod" in done.stdout


def test_the_verb_checks(tmp_path: Path) -> None:
    write(tmp_path, good=MINIMAL, noted=MINIMAL + "grpc: {}", bad="prioriti: x")
    good = lanner("config", "check", "-c", str(tmp_path / "good.yaml"))
    assert (good.returncode, good.stdout) == (0, f"{tmp_path}/good.yaml: the configuration is right\n")
    noted = lanner("config", "check", "-c", str(tmp_path / "noted.yaml"))
    assert noted.returncode == 0
    assert "noted.yaml:2: grpc: has no effect" in noted.stderr
    assert lanner("config", "check", "--strict", "-c", str(tmp_path / "noted.yaml")).returncode == 2
    bad = lanner("config", "check", "-c", str(tmp_path / "bad.yaml"))
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "did you mean 'priority'?" in bad.stderr


def test_the_verb_shows_the_places_and_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "hidden-1")
    write(
        tmp_path,
        main=f"config_files: [{tmp_path}/more.yaml]\n{MINIMAL}"
        "static_fields: {token: hidden-2, who: '${FROM_OUTSIDE}'}\n",
        more="priority: error",
    )
    shown = lanner("config", "show", "-c", str(tmp_path / "main.yaml"), "-o", "json_output=true").stdout
    assert "hidden" not in shown
    read_back = yaml.safe_load(shown)
    assert read_back["static_fields"] == {"token": MASK, "who": "${FROM_OUTSIDE}"}
    assert read_back["priority"] == "error"
    assert f"# {tmp_path}/more.yaml:1\npriority" in shown
    assert "# -o json_output\njson_output: true" in shown


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("token", True),
        ("api_key", True),
        ("apikey", True),
        ("sasl_password", True),
        ("webhook_url", True),
        ("headers", True),
        ("key", False),
        ("key_file", False),
        ("include_keys", False),
        ("filename", False),
    ],
)
def test_which_keys_name_a_secret(key: str, secret: bool) -> None:
    assert redacted({key: "x"}) == {key: MASK if secret else "x"}
    assert redacted({key: {"a": ["x"]}}) == {key: {"a": [MASK if secret else "x"]}}
    assert redacted({key: "${file:/x}"}) == {key: "${file:/x}"}


def test_the_schema_is_one_and_takes_what_the_program_takes(tmp_path: Path) -> None:
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    check = jsonschema.Draft202012Validator(made)
    check.validate(yaml.safe_load(sample()))
    check.validate(yaml.safe_load(MINIMAL + "json_output: ${X}\nrules: [{enable: {tag: x}}]\nappend_output: []"))
    for wrong in ("prioriti: x", "json_output: 1", "sources: [{type: nothing}]", "outbox: {pth: x}"):
        assert not check.is_valid(yaml.safe_load(wrong)), wrong
    assert json.loads(lanner("config", "schema").stdout) == made
    assert lanner("config", "sample").stdout == sample()
