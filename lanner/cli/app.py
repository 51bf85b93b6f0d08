"""The command itself: its verbs, loaded when they are asked for, and the one place where errors become words."""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, cast

import click

from lanner import __version__
from lanner.errors import EXIT_MEANING, Exit, RulesError, UserError

VERBS = {
    "scan": "Detect in files: CloudTrail and Kubernetes audit logs.",
    "run": "Run the service: sources in, alerts out.",
    "reload": "Have a running service load its rules anew.",
    "agent": "Watch this host, or one program, by its system calls.",
    "capture": "Write host events to a file that Falco and sysdig read.",
    "demo": "Watch it work on made-up events.",
    "eval": "Try a condition on events.",
    "rules": "Check, list and describe rules.",
    "events": "Make harmless events to watch rules for hosts fire.",
    "silence": "Hide alerts for a while, with a reason.",
    "outputs": "Try out the outputs, and see which get an alert.",
    "outbox": "See and settle what outputs have not taken.",
    "doctor": "Look whether everything is in order here.",
    "config": "Show, check and describe the configuration.",
    "fields": "List the fields that rules can use.",
    "cloudtrail": "Look whether a trail's queue, bucket and permissions are in order.",
    "k8s": "Make an API server's audit policy and webhook kubeconfig.",
}
"""Each is the command of this name in the module of this name beside this file, with its line in the help."""

_INTERRUPTED = 130
_EXAMPLES = """
\b
Examples:
  lanner demo                                  watch it work on made-up events
  lanner scan ./AWSLogs                        look for what matters in files you have
  lanner scan audit.log.gz -r my_rules.yaml --json
  lanner run -c lanner.yaml                    the service: queues and webhooks in, alerts out
  lanner rules check my_rules.yaml             find mistakes in rules
  lanner fields k8s_audit                      what a rule can ask about
"""


class Verbs(click.Group):
    """A group whose commands are imported on first use, so that ``--help`` and completion answer at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which people meet them."""
        return list(VERBS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; nobody reading any more is no error (click would make it one)."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _leave_quietly()
            return Exit.OK

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the verb; an unknown one is a usage error that names the nearest."""
        near = difflib.get_close_matches(args[0], VERBS, n=1)
        if args[0] not in VERBS and near and not args[0].startswith("-"):
            ctx.fail(f"no verb {args[0]!r}; did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb; None when there is no such verb."""
        if cmd_name not in VERBS:
            return None
        return cast("click.Command", getattr(importlib.import_module(f"lanner.cli.{cmd_name}"), cmd_name))


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Detect what matters in AWS CloudTrail, Kubernetes audit and host events, with rules in Falco's language.\n"
    + _EXAMPLES,
    epilog="\b\nExit status: " + "\n             ".join(f"{s.value}  {m}" for s, m in EXIT_MEANING.items()),
)
@click.version_option(__version__, message="lanner %(version)s")
def app() -> None:
    """Stand for the command without a verb; the help text is above."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its status."""
    sys.exit(status_of(arguments))


def status_of(arguments: Sequence[str] | None = None) -> int:
    """Run the command, tell errors of the user in words, and return the exit status."""
    try:
        status: Any = app.main(arguments, prog_name="lanner", standalone_mode=False)
        sys.stdout.flush()
        return int(status or Exit.OK)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except RulesError as error:
        _tell_rules(error)
        return error.status
    except UserError as error:
        click.echo(f"lanner: {error}", err=True)
        return error.status
    except BrokenPipeError:
        _leave_quietly()
        return Exit.OK
    except OSError as error:  # such as a full disk behind standard output
        click.echo(f"lanner: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", err=True)
        _leave_quietly()
        return Exit.OUTPUT


def _tell_rules(error: RulesError) -> None:
    from engine.render import render_text
    from lanner.terminal import wants_colour

    click.echo(render_text(error.report.errors, error.texts, wants_colour(sys.stderr)), err=True)
    click.echo(f"\nlanner: {error}; nothing was run", err=True)


def _leave_quietly() -> None:
    """Nobody takes more output: keep the interpreter from complaining about it when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
