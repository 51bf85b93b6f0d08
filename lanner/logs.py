"""The program's own log: lines on standard error."""

import logging
import sys


def set_up() -> None:
    """Send log lines of level info and above to standard error."""
    form = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=form)
