"""The command ``lanner``: one module per verb, each of them arguments, a call and an exit status."""

from lanner.cli.app import main

__all__ = ["main"]
