"""The program's own log: lines on standard error."""

import logging
import sys


def set_up() -> None:
    """Send log lines to standard error: ours from level info on, those of libraries from warning on."""
    form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format=form)
    logging.getLogger("lanner").setLevel(logging.INFO)
