"""
The pages of ``docs`` that the program itself knows best: ``make docs`` writes them.

A test compares them with what this module makes, so they cannot go stale.
"""

import dataclasses
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from engine.load import LoadOptions  # noqa: E402
from lanner import rulefiles  # noqa: E402
from lanner.attack import NAMES, V19  # noqa: E402
from lanner.catalog import build_catalog  # noqa: E402
from lanner.cli.app import app  # noqa: E402
from lanner.config import Config  # noqa: E402
from lanner.configsample import plain, sample  # noqa: E402
from lanner.errors import EXIT_MEANING  # noqa: E402
from lanner.fieldlist import as_markdown, field_classes  # noqa: E402
from lanner.outputs.kinds import OUTPUT_TYPES  # noqa: E402
from lanner.rulepage import as_markdown as rule_lines  # noqa: E402
from lanner.settings import Key, kind_name, walk  # noqa: E402
from lanner.sources import SOURCE_TYPES  # noqa: E402

NOTE = "<!-- Made by `make docs`; change the program instead. -->\n"
WIDTH = 100


def command_line() -> str:
    """Return the page of all verbs with their help."""
    parts = [f"# The command line\n\n{NOTE}", _help(app, "lanner", None)]
    context = click.Context(app, info_name="lanner")
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        parts.append(f"## lanner {name}\n")
        parts.append(_help(command, name, context))
        if isinstance(command, click.Group):
            inner = click.Context(command, info_name=name, parent=context)
            for verb in command.list_commands(inner):
                found = command.get_command(inner, verb)
                assert found is not None
                parts += [f"### lanner {name} {verb}\n", _help(found, verb, inner)]
    return "\n".join(parts)


def _help(command: click.Command, name: str, parent: click.Context | None) -> str:
    names = app.context_settings["help_option_names"]
    with click.Context(command, parent, name, terminal_width=WIDTH, help_option_names=names) as context:
        return f"```\n{command.get_help(context)}\n```\n"


def output(name: str) -> str:
    """Return the page of a kind of output: a configuration to copy, and its keys."""
    kind = OUTPUT_TYPES[name]
    example = textwrap.indent(f"type: {name}\n{kind.example}", "    ").removeprefix("    ")
    own = "`type`, `name`, `minimum_priority` and `throttle`"
    about = f"Besides these keys an entry has {own}; what every output does is told in"
    return "\n".join(
        [
            f"# Output `{name}`\n\n{NOTE}",
            f"{kind.doc}\n\n```yaml\noutputs:\n  - {example}\n```\n",
            f"{about} [Outputs](../outputs.md).\n",
            *_table(kind.load()[0]),
            "",
        ]
    )


def exit_status() -> str:
    """Return the page of exit statuses."""
    lines = [f"| {status.value} | {meaning} |" for status, meaning in EXIT_MEANING.items()]
    head = "Every verb of `lanner` uses the same ones.\n\n| status | meaning |\n|---|---|"
    return "\n".join([f"# Exit status\n\n{NOTE}", head, *lines, "| 130 | interrupted by Ctrl-C |", ""])


def configuration() -> str:
    """Return the page of all keys."""
    parts = [
        f"# Configuration keys\n\n{NOTE}",
        "`lanner run` reads a YAML file; `-o key=value` sets a key over it. Keys that Falco has too have its names and",
        "meaning. [lanner.yaml](lanner.yaml) is a file with all of them at their defaults.\n",
        *_table(Config),
    ]
    for name, kind in SOURCE_TYPES.items():
        parts += [f"\n## Source `{name}`\n", f"{kind.doc} Besides these keys an entry has `type` and `name`.\n"]
        parts += _table(kind.load()[0])
    return "\n".join([*parts, ""])


def _table(cls: type) -> Iterator[str]:
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    for path, key in walk(cls):
        if not key.section or key.default is None:
            yield f"| `{path}` | {kind_name(key.kind)} | {_shown(key)} | {key.doc} |"


def _shown(key: Key) -> str:
    return "must be given" if key.default is dataclasses.MISSING else f"`{plain(key.default)}`"


def fields() -> str:
    """Return the page of all fields."""
    head = "What conditions and outputs of rules can use; `lanner fields` prints the same. Fields whose argument is in"
    more = "round brackets, like `name([KEY])`, may be used without it.\n"
    return "\n".join([f"# Fields\n\n{NOTE}", head, more, *as_markdown(field_classes(build_catalog("")))])


def rules(pack: str, title: str) -> str:
    """Return the page of a pack of shipped rules."""
    found = rulefiles.load([f"{rulefiles.BUNDLED}/{pack}"], build_catalog(""), LoadOptions())
    about = "What priorities, tags and exceptions mean is said in [the shipped rules](../rules.md)."
    return "\n".join([f"# {title}\n\n{NOTE}", about, *rule_lines(found), ""])


def attack_versions() -> str:
    """Return the page of technique ids that differ between versions of ATT&CK."""
    head = "Rules carry the ids of ATT&CK version 18. These have other ids in version 19;"
    more = "`lanner rules coverage --attack 19` tells those.\n\n| version 18 | version 19 | name |\n|---|---|---|"
    lines = [f"| {old} | {new} | {NAMES.get(old, '')} |" for old, new in V19.items()]
    return "\n".join([f"# ATT&CK ids by version\n\n{NOTE}", head, more, *lines, ""])


PAGES = {
    "fields.md": fields,
    "reference/attack-versions.md": attack_versions,
    "rules/aws.md": lambda: rules("aws", "Rules for CloudTrail"),
    "rules/k8s.md": lambda: rules("k8s", "Rules for Kubernetes audit"),
    "rules/host.md": lambda: rules("host", "Rules for hosts"),
    "reference/command-line.md": command_line,
    "reference/configuration.md": configuration,
    "reference/exit-status.md": exit_status,
    "reference/lanner.yaml": sample,
    **{f"outputs/{name}.md": partial(output, name) for name in OUTPUT_TYPES},
}


def main() -> None:
    """Write all pages."""
    for name, make in PAGES.items():
        (HERE / name).parent.mkdir(exist_ok=True)
        (HERE / name).write_text(make(), "utf-8")


if __name__ == "__main__":
    main()
