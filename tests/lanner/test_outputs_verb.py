"""Outputs tried out and explained from the command line."""

import asyncio
import json
from pathlib import Path

import pytest

from engine.priority import Priority
from lanner.cli.app import status_of
from lanner.config import read
from lanner.outputcheck import explain
from lanner.routes import wanted
from tests.lanner.outputs.receiver import receiving
from tests.lanner.support import alert, lanner

ROUTED = """
sources: [{type: k8saudit}]
outputs:
  - {type: http, name: pager, url: "http://127.0.0.1:9", minimum_priority: error}
  - {type: file, name: kept, filename: FOLDER/kept.jsonl}
  - {type: http, name: room, url: "http://127.0.0.1:9", throttle: {by: [ct.user]}}
routes:
  - {match: alert.rule startswith A, to: [pager, kept]}
  - {match: alert.source = k8s_audit, to: [kept]}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "lanner.yaml"
    path.write_text(ROUTED.replace("FOLDER", str(tmp_path)))
    return path


def send_to(config: Path, url: str) -> None:
    config.write_text(config.read_text().replace("http://127.0.0.1:9", url))


async def test_a_test_alert_goes_to_each_output_and_its_answer_is_told(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with receiving() as receiver:
        receiver.answers = [(503, b"not now", {}), (200, b"", {})]
        send_to(config, receiver.url)
        status = await asyncio.to_thread(status_of, ["outputs", "test", "-c", str(config)])
        told = capsys.readouterr().out
        assert status == 5
        assert f"pager: FAILED: {receiver.url} answers 503: not now\n" in told
        assert "kept: took it\n" in told
        assert "room: took it\n" in told
        sent = receiver.got[1].json
    assert (sent["rule"], sent["priority"], sent["source"]) == ("Lanner internal: test", "Debug", "internal")
    assert json.loads((tmp_path / "kept.jsonl").read_text())["rule"] == "Lanner internal: test"


def test_one_output_alone_is_tried(config: Path, tmp_path: Path) -> None:
    done = lanner("outputs", "test", "kept", "-c", config)
    assert (done.returncode, done.stdout) == (0, "kept: took it\n")
    done = lanner("outputs", "test", "pager", "-c", config)
    assert done.returncode == 5
    assert done.stdout.startswith("pager: FAILED: http://127.0.0.1:9: ")
    done = lanner("outputs", "test", "stdout", "-c", config)
    assert done.returncode == 0
    assert "Debug Somebody tries out the outputs; there is nothing to do\nstdout: took it\n" in done.stdout
    done = lanner("outputs", "test", "pgaer", "-c", config)
    assert done.returncode == 2
    assert "no output is called 'pgaer'; there are stdout, pager, kept, room" in done.stderr


async def test_an_output_that_hangs_is_told_of(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with receiving() as receiver:
        receiver.before = lambda: asyncio.sleep(60)
        send_to(config, receiver.url)
        arguments = ["outputs", "test", "pager", "-c", str(config), "--timeout", "0.3"]
        assert await asyncio.to_thread(status_of, arguments) == 5
    assert capsys.readouterr().out == "pager: FAILED: no answer within 0.3 s\n"


def test_why_an_output_gets_an_alert_is_told(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "alert.json"
    path.write_text(alert(1).json())
    done = lanner("outputs", "explain", path, "-c", config)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "'A rule', warning, source aws_cloudtrail:\n"
        "  stdout: gets it\n"
        "    no route names it, so it gets every alert\n"
        "    warning is at least debug, its minimum_priority\n"
        "  pager: does not get it\n"
        "    routes[0] holds: alert.rule startswith A\n"
        "    warning is less than error, its minimum_priority\n"
        "  kept: gets it\n"
        "    routes[0] holds: alert.rule startswith A\n"
        "    routes[1] does not hold: alert.source = k8s_audit\n"
        "    warning is at least debug, its minimum_priority\n"
        "  room: gets it\n"
        "    no route names it, so it gets every alert\n"
        "    warning is at least debug, its minimum_priority\n"
        "    it has a throttle, which may hold it back when it comes again\n"
    )


def test_lines_on_standard_input_are_alerts_and_other_text_is_told(config: Path) -> None:
    lines = f"{alert(1).json()}\n{alert(2).json()}\n".encode()
    assert lanner("outputs", "explain", "-", "-c", config, stdin=lines).stdout.count("stdout: gets it") == 2
    done = lanner("outputs", "explain", "-", "-c", config, stdin=b"12:00: Warning something")
    assert done.returncode == 2
    assert "an alert as JSON is wanted" in done.stderr
    done = lanner("outputs", "explain", "-", "-c", config, stdin=b'{"rule": "x"}')
    assert "alert 1: an alert has 'priority'" in done.stderr


@pytest.mark.parametrize("priority", list(Priority))
def test_the_explanation_says_what_delivery_does(config: Path, priority: Priority) -> None:
    loaded, one = read(config.read_text(), "f"), alert(1, priority)
    least = {"pager": Priority.ERROR}
    for choice in explain(loaded, one):
        chosen = wanted(choice.output, least.get(choice.output, Priority.DEBUG), loaded.routes)
        assert choice.gets is chosen(one)
