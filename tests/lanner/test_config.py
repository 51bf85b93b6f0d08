import dataclasses
from pathlib import Path

import pytest

from engine.priority import Priority
from engine.selection import Selection
from lanner import config, configfiles
from lanner.config import Config, read
from lanner.errors import ConfigError
from lanner.settings import kind_name, walk
from lanner.sources import SOURCE_TYPES
from tests.lanner.support import lanner

MINIMAL = "sources: [{type: k8saudit}]"


def findings(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(text, "f.yaml", overrides)
    return str(error.value).splitlines()[1:]


def test_defaults() -> None:
    found = read(MINIMAL, "f.yaml")
    assert found == dataclasses.replace(Config(), sources=found.sources)
    assert (found.priority, found.rule_matching, found.rules_files) == (Priority.DEBUG, "all", ())
    assert (found.stdout_output.enabled, found.file_output.enabled) == (True, False)
    assert (found.sources[0].type, found.sources[0].name) == ("k8saudit", "k8saudit")


def test_every_key() -> None:
    found = read(
        """
        rules_files: [bundled, /etc/lanner/rules.d]
        rules:
          - disable: {tag: network}
          - enable: {rule: "Secret *"}
        priority: Warning
        rule_matching: first
        json_output: true
        time_format_iso_8601: true
        stdout_output: {enabled: false}
        file_output: {enabled: true, filename: /var/log/lanner.json}
        outbox: {path: ":none", max_alerts: 10}
        shutdown_grace: 5
        sources:
          - type: cloudtrail
            name: archive
            queue: sqs://trail
            wait: 1
            aws: {region: eu-central-1, endpoint_url: "http://127.0.0.1:5000"}
            objects: {include_keys: [".*"], insight_events: skip}
            retry_backoff: [1, 2]
          - type: k8saudit
            listen: {port: 9443, tls: {cert: c.pem, key: k.pem}}
        """,
        "f.yaml",
    )
    assert (found.priority, found.rule_matching, found.shutdown_grace) == (Priority.WARNING, "first", 5.0)
    assert found.rules_files == ("bundled", "/etc/lanner/rules.d")
    assert [entry for step in found.rules for entry in step.entries()] == [
        Selection(False, None, "network"),
        Selection(True, "Secret *", None),
    ]
    assert (found.outbox.path, found.outbox.max_alerts) == (":none", 10)
    cloudtrail, webhook = (source.options for source in found.sources)
    assert (found.sources[0].name, cloudtrail.queue, cloudtrail.retry_backoff) == ("archive", "sqs://trail", (1, 2))
    assert (cloudtrail.aws.region, cloudtrail.objects.insight_events) == ("eu-central-1", "skip")
    assert (webhook.listen.port, webhook.listen.tls.cert, webhook.path) == (9443, "c.pem", "/k8s-audit")


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("priorty: x", "f.yaml:2: priorty: unknown key; did you mean 'priority'?"),
        ("priority: loud", "f.yaml:2: priority: unknown priority 'loud'; one of emergency, alert, critical"),
        ("rule_matching: some", "f.yaml:2: rule_matching: wanted is all or first, given is 'some'"),
        ("json_output: 1", "f.yaml:2: json_output: wanted is true or false, given is 1"),
        ("shutdown_grace: soon", "f.yaml:2: shutdown_grace: wanted is number, given is 'soon'"),
        ("stdout_output: yes", "f.yaml:2: stdout_output: wanted is mapping, given is True"),
        ("file_output:\n  filname: x", "f.yaml:3: file_output.filname: unknown key; did you mean 'filename'?"),
        ("rules_files: x.yaml", "f.yaml:2: rules_files: wanted is list of text, given is 'x.yaml'"),
        ("rules_files: [{a: b}]", "f.yaml:2: rules_files[0]: wanted is text, given is a mapping"),
        ("json_output: true\njson_output: false", "f.yaml:3: json_output is given twice"),
        ("rules: [{enable: {}}]", "rules: an entry enables or disables a 'rule' or a 'tag'"),
        ("stdout_output: {enabled: false}", "outputs: no output is enabled"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, finding: str) -> None:
    (found,) = findings(f"{MINIMAL}\n{text}")
    assert finding in found


@pytest.mark.parametrize(
    ("sources", "finding"),
    [
        ("[]", "sources: no source is configured"),
        ("[x]", "f.yaml:1: sources[0]: a source is a mapping with 'type'"),
        ("[{name: x}]", "f.yaml:1: sources[0].type: 'type' is missing: one of cloudtrail"),
        ("[{type: cloudtrial}]", "sources[0].type: unknown type 'cloudtrial'; did you mean 'cloudtrail'?"),
        ("[{type: cloudtrail}]", "sources[0]: 'queue' is missing"),
        ("[{type: cloudtrail, queue: q, wait: x}]", "sources[0].wait: wanted is whole number, given is 'x'"),
        ("[{type: cloudtrail, queue: q, delete: maybe}]", "sources[0].delete: wanted is after_delivery or"),
        ("[{type: k8saudit, listen: {prot: 1}}]", "sources[0].listen.prot: unknown key; did you mean 'port'?"),
        ("[{type: k8saudit}, {type: k8saudit}]", "sources: two sources have one name"),
    ],
)
def test_a_mistake_in_a_source(sources: str, finding: str) -> None:
    (found,) = findings(f"sources: {sources}")
    assert finding in found


def test_all_mistakes_are_told_at_once() -> None:
    assert len(findings("a: 1\nb: 2\npriority: x\nsources: [{type: k8saudit, pth: /x}]")) == 4


@pytest.mark.parametrize("text", ["[1, 2]", "a: b: c", "- x", "\t", "a: 'x", "{a: &x [*x]}", "? [a]\n: b"])
def test_what_is_no_configuration_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match=r"f\.yaml"):
        read(text, "f.yaml")


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("json_output=true", "json_output", True),
        ("file_output.filename=/x=y", "file_output.filename", "/x=y"),
        ("file_output={filename: z}", "file_output.filename", "z"),
        ("rules_files[]=a.yaml", "rules_files", ("a.yaml",)),
        ("shutdown_grace=2", "shutdown_grace", 2.0),
        ("outbox.path=", "outbox.path", ""),
    ],
)
def test_the_command_line_sets_keys(override: str, path: str, value: object) -> None:
    found: object = read(MINIMAL, "f.yaml", [override])
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


def test_the_command_line_reaches_into_lists_in_order() -> None:
    found = read(MINIMAL, "f.yaml", ["sources[0].listen.port=1", "sources[].type=k8saudit", "sources[1].name=b"])
    assert [source.name for source in found.sources] == ["k8saudit", "b"]
    assert found.sources[0].options.listen.port == 1


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("json_output", "give it as key=value"),
        ("=x", "give it as key=value"),
        ("sources[3].name=x", "the list has 1 elements; [] appends one"),
        ("json_output.x=1", "-o json_output.x"),
        ("shutdown_grace[0]=1", "-o shutdown_grace[0]"),
        ("priority=[", "the value is not YAML"),
        ("a[x]=1", "cannot read this key"),
        ("jsn_output=true", "-o jsn_output: jsn_output: unknown key; did you mean 'json_output'?"),
    ],
)
def test_a_mistake_on_the_command_line(override: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(f"{MINIMAL}\njson_output: false\nshutdown_grace: 1", "f.yaml", [override])
    assert told in str(error.value)


def test_names_with_dots_are_escaped() -> None:
    with pytest.raises(ConfigError, match=r"a\.b\[0\]: unknown key"):
        read(MINIMAL, "f.yaml", [r"a\.b\[0\]=1"])


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "1.yaml", tmp_path / "2.yaml"
    first.write_text(f"{MINIMAL}\nshutdown_grace: 1")
    second.write_text(f"{MINIMAL}\nshutdown_grace: 2")
    monkeypatch.setattr(configfiles, "DEFAULT_PATH", str(second))
    monkeypatch.delenv("LANNER_CONFIG", raising=False)
    assert config.load(None).shutdown_grace == 2
    monkeypatch.setenv("LANNER_CONFIG", str(first))
    assert config.load(None).shutdown_grace == 1
    assert config.load(str(second)).shutdown_grace == 2
    with pytest.raises(ConfigError, match="No such file"):
        config.load(str(tmp_path / "3.yaml"))


def test_without_any_file_the_command_line_may_say_it_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(configfiles, "DEFAULT_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("LANNER_CONFIG", raising=False)
    assert config.load(None, ["sources[].type=k8saudit"]).sources[0].type == "k8saudit"
    with pytest.raises(ConfigError, match="\nno configuration file: sources: no source is configured"):
        config.load(None)


def test_every_key_of_the_program_has_a_sentence_and_a_type_for_people() -> None:
    for path, key in walk(Config):
        assert key.doc.endswith("."), path
        assert "<" not in kind_name(key.kind), path


@pytest.mark.parametrize("kind", SOURCE_TYPES)
def test_every_key_of_a_source_has_a_type_for_people(kind: str) -> None:
    for path, key in walk(SOURCE_TYPES[kind].load()[0]):
        assert "<" not in kind_name(key.kind), path


def test_run_tells_a_wrong_configuration_and_exits_2(tmp_path: Path) -> None:
    path = tmp_path / "lanner.yaml"
    path.write_text("priority: loud\nsources: [{type: k8saudit}]\n")
    done = lanner("run", "-c", path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"lanner: the configuration is wrong\n{path}:1: priority: unknown priority")
    assert "Traceback" not in done.stderr
