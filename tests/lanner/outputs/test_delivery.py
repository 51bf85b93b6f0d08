"""What surrounds every output: choice, progress within a batch, dead letters; and the service with several outputs."""

import json
import os
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.alert import Alert
from engine.priority import Priority
from lanner.config import Config, read
from lanner.errors import ConfigError
from lanner.outputs.base import Undelivered
from lanner.outputs.delivery import DeadLetters, Delivery
from lanner.routes import wanted
from tests.lanner.outputs.receiver import alert
from tests.lanner.support import ct_record, lanner

MINIMAL = "sources: [{type: k8saudit}]\n"


def configured(text: str) -> Config:
    return read(MINIMAL + textwrap.dedent(text), "f.yaml")


class Scripted:
    """An output that does as it is told: takes so many, then fails or refuses."""

    name = "scripted"

    def __init__(self, *script: Undelivered | None) -> None:
        self.script = list(script)
        self.got: list[str] = []

    async def start(self) -> None:
        pass

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        failure = self.script.pop(0) if self.script else None
        self.got += [alert.uid for alert in (alerts if failure is None else alerts[: failure.taken])]
        if failure is not None:
            raise failure

    async def close(self) -> None:
        pass


def alerts(count: int) -> list[Alert]:
    return [alert(uid=str(number)) for number in range(count)]


def around(output: Scripted, folder: Path, counters: Counter[str] | None = None) -> Delivery:
    return Delivery(output, lambda alert: True, DeadLetters(folder), counters if counters is not None else Counter())


async def test_what_was_taken_of_a_failed_delivery_is_not_sent_again(tmp_path: Path) -> None:
    output = Scripted(Undelivered("down", taken=2), Undelivered("down", taken=1))
    delivery = around(output, tmp_path)
    for _ in range(2):
        with pytest.raises(Undelivered):
            await delivery.deliver(alerts(5))
    await delivery.deliver(alerts(6))
    assert output.got == ["0", "1", "2", "3", "4", "5"]
    await delivery.deliver(alerts(1))
    assert output.got[-1] == "0"


async def test_an_alert_that_is_refused_becomes_a_dead_letter_and_holds_up_nobody(tmp_path: Path) -> None:
    counters: Counter[str] = Counter()
    output = Scripted(Undelivered("malformed", taken=1, refused=True), Undelivered("down", taken=1))
    delivery = around(output, tmp_path / "dead", counters)
    with pytest.raises(Undelivered, match="down"):
        await delivery.deliver(alerts(4))
    await delivery.deliver(alerts(4))
    assert output.got == ["0", "2", "3"]
    assert counters == {"alerts_refused:scripted": 1}
    (line,) = (tmp_path / "dead" / "scripted.jsonl").read_text().splitlines()
    letter = json.loads(line)
    assert (letter["output"], letter["refused"], letter["alert"]["lanner"]["uid"]) == ("scripted", "malformed", "1")


async def test_a_destination_that_refuses_everything_is_told_of_now_and_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = Scripted(*[Undelivered("malformed", refused=True)] * 40)
    await around(output, tmp_path).deliver(alerts(40))
    assert [record.args[-1] for record in caplog.records if record.args] == [1, 10]
    assert len(os.listdir(tmp_path)) == 1


async def test_where_a_dead_letter_cannot_be_kept_the_alert_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "dead").write_text("a file where the folder should be")
    output = Scripted(*[Undelivered("malformed", refused=True)] * 2)
    delivery = around(output, tmp_path / "dead")
    with pytest.raises(OSError, match="dead"):
        await delivery.deliver(alerts(1))
    (tmp_path / "dead").unlink()
    await delivery.deliver(alerts(1))
    assert (tmp_path / "dead" / "scripted.jsonl").exists()


@pytest.mark.parametrize(
    ("output", "least", "priority", "rule", "gets"),
    [
        ("pager", "debug", "critical", "x", True),
        ("pager", "debug", "error", "x", False),
        ("pager", "debug", "error", "Trail stopped", True),
        ("pager", "alert", "critical", "x", False),
        ("room", "debug", "debug", "x", True),
        ("room", "warning", "notice", "x", False),
        ("room", "warning", "warning", "x", True),
    ],
)
def test_which_alerts_an_output_gets(output: str, least: str, priority: str, rule: str, gets: bool) -> None:
    config = configured(
        """
        outputs: [{type: http, name: pager, url: http://x}, {type: http, name: room, url: http://x}]
        routes:
          - {match: alert.severity <= 2, to: [pager]}
          - {match: alert.rule startswith Trail, to: [pager, stdout]}
        """
    )
    choice = wanted(output, Priority.parse(least), config.routes)
    assert choice(alert(priority=Priority.parse(priority), rule=rule)) is gets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "routes: [{match: alert.rul = x, to: [stdout]}]",
            "f.yaml:2: routes[0].match: source alert has no field",
        ),
        ("routes: [{match: alert.rule = x, to: [pager]}]", "routes: no output is called pager; there are stdout"),
        ("outputs: [{type: file, name: stdout, filename: x}]", "two outputs have the name stdout"),
        ("outputs: [{type: file, filename: x}, {type: file, filename: y}]", "two outputs have the name file"),
        ("http_output: {enabled: true, url: x}", "output http: url: wanted is a URL that begins with http://"),
        ("program_output: {enabled: true}", "output program: command: a program is wanted"),
        ("stdout_output: {enabled: false}", "no output is enabled"),
    ],
)
def test_a_mistake_is_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(MINIMAL + text, "f.yaml")
    assert told in str(error.value)


def test_falcos_sections_are_outputs() -> None:
    config = configured(
        """
        json_output: true
        syslog_output: {enabled: true}
        program_output: {enabled: true, keep_alive: false, program: "jq '.rule' >> /tmp/x"}
        http_output: {enabled: true, url: https://x/y, mtls: true, compress_uploads: true, user_agent: falco}
        """
    )
    syslog, program, http = (output.options for output in config.all_outputs)
    assert config.output_names == ("stdout", "syslog", "program", "http")
    assert syslog.format == "falco-json"
    assert (program.command, program.shell, program.keep_alive) == (("jq '.rule' >> /tmp/x",), True, False)
    assert (http.url, http.compress, dict(http.headers)) == ("https://x/y", True, {"User-Agent": "falco"})
    assert (http.tls.cert_file, http.tls.key_file) == ("/etc/ssl/certs/client.crt", "/etc/ssl/certs/client.key")


def test_the_service_sends_each_alert_where_routes_say(tmp_path: Path) -> None:
    rule = (
        "- rule: {0}\n  desc: d\n  condition: ct.name = {0}\n  output: o\n  priority: {1}\n  source: aws_cloudtrail\n"
    )
    (tmp_path / "rules.yaml").write_text(rule.format("CreateUser", "critical") + rule.format("DeleteUser", "notice"))
    records = [ct_record("CreateUser", 1), ct_record("DeleteUser", 2), ct_record("CreateUser", 3)]
    (tmp_path / "events.json").write_text(json.dumps({"Records": records}))
    (tmp_path / "lanner.yaml").write_text(
        f"""
        rules_files: [{tmp_path}/rules.yaml]
        stdout_output: {{enabled: false}}
        outbox: {{path: {tmp_path}/outbox.sqlite}}
        sources: [{{type: files, paths: [{tmp_path}/events.json]}}]
        outputs:
          - {{type: file, name: all, filename: {tmp_path}/all, format: text}}
          - {{type: file, name: urgent, filename: {tmp_path}/urgent, minimum_priority: error}}
          - {{type: program, name: deletions, command: [/bin/sh, -c, "cat > {tmp_path}/deletions"], format: ecs}}
        routes: [{{match: alert.rule startswith Delete, to: [deletions]}}]
        """
    )
    done = lanner("run", "-c", str(tmp_path / "lanner.yaml"))
    assert done.returncode == 0, done.stderr
    lines = {name: (tmp_path / name).read_text().splitlines() for name in ("all", "urgent", "deletions")}
    assert {name: len(found) for name, found in lines.items()} == {"all": 3, "urgent": 2, "deletions": 1}
    assert json.loads(lines["deletions"][0])["rule"]["name"] == "DeleteUser"
