"""Findings of a look at a set-up, as the doctors print them."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ingest.cloudtrail.findings import Finding

_LABELS = {"ok": ("ok", "green"), "warning": ("warn", "yellow"), "failed": ("FAIL", "red"), "skipped": ("skip", "")}


def show(finding: "Finding") -> None:
    """Print a finding, and under it what to do."""
    from engine.render import printable
    from lanner.terminal import wants_colour

    label, colour = _LABELS[finding.state]
    shown = click.style(f"{label:<4}", fg=colour or None) if wants_colour(sys.stdout) else f"{label:<4}"
    click.echo(f"{shown}  {finding.check}: {printable(finding.text)}", color=True)
    if finding.advice:
        click.echo(f"      -> {printable(finding.advice)}")
