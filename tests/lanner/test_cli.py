import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lanner import __version__
from lanner.cli.app import VERBS, app, status_of
from lanner.errors import Exit
from tests.lanner.support import ROOT, command, environment, lanner

HEAVY = ("aiohttp", "aiobotocore", "boto3", "botocore", "lark", "moto", "rich", "re2", "yaml", "msgspec")


def test_version() -> None:
    done = lanner("--version")
    assert (done.returncode, done.stdout) == (0, f"lanner {__version__}\n")


def test_help_names_every_verb_and_the_exit_statuses() -> None:
    done = lanner("--help")
    assert done.returncode == 0
    assert all(f"\n  {verb} " in done.stdout for verb in VERBS)
    assert "Examples:" in done.stdout
    assert all(f" {status.value}  " in done.stdout for status in Exit)


def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for word in command.list_commands(context):
        inner = command.get_command(context, word)
        assert inner is not None
        yield from leaves(inner, f"{name} {word}")


@pytest.mark.parametrize(("name", "verb"), [pytest.param(*leaf, id=leaf[0]) for leaf in leaves(app, "lanner")])
def test_every_verb_has_help_that_teaches(name: str, verb: click.Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of([*name.split()[1:], "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Usage: {name}")
    assert name in told.partition("Examples:")[2]


@pytest.mark.parametrize("verb", [[], *[[verb] for verb in VERBS if verb != "eval"]])
def test_help_loads_nothing_heavy(verb: list[str]) -> None:
    code = (
        "import sys; from lanner.cli.app import status_of; "
        f"status_of({[*verb, '--help']!r}); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ast.literal_eval(done.stderr) == []


def test_without_a_verb_the_help_is_shown_as_a_usage_error() -> None:
    done = lanner()
    assert done.returncode == 2
    assert "Usage: lanner" in done.stderr


@pytest.mark.parametrize("arguments", [["scna"], ["scan"], ["scan", "--nope", "."], ["run", "--min-priority"]])
def test_usage_errors_exit_2_without_traceback(arguments: list[str]) -> None:
    done = lanner(*arguments)
    assert done.returncode == 2
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unknown_priority_names_the_known_ones() -> None:
    done = lanner("scan", ".", "--fail-on", "loud")
    assert done.returncode == 2
    assert "unknown priority 'loud'; one of emergency" in done.stderr


def test_a_closed_standard_output_ends_the_command_quietly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("rules", "describe", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=ROOT,
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read()
    assert (process.wait(60), told) == (0, b"")


def test_a_full_disk_behind_standard_output_is_said_in_words() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("rules", "list"), stdout=full, stderr=subprocess.PIPE, env=environment(), cwd=ROOT, check=False
        )
    assert (done.returncode, done.stderr) == (Exit.OUTPUT, b"lanner: No space left on device\n")


def test_a_mistyped_verb_gets_the_nearest_one() -> None:
    assert "no verb 'scna'; did you mean 'scan'?" in lanner("scna").stderr
