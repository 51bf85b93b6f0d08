import logging
import sys

from lanner.logs import LineFormatter


def line_of(text: str, *args: object) -> str:
    record = logging.LogRecord("lanner.x", logging.WARNING, "", 0, text, args, None)
    return LineFormatter("%(levelname)s %(message)s").format(record)


def test_a_strangers_text_stays_on_its_line_and_commands_no_terminal() -> None:
    shown = line_of("%s: gone", "s3://bucket/a\nERROR forged \x1b[2J\x9b2J\u202e")
    assert shown == r"WARNING s3://bucket/a\nERROR forged \x1b[2J\x9b2J\u202e: gone"


def test_a_traceback_keeps_its_lines_and_nothing_else() -> None:
    try:
        raise ValueError("bad \x1b[31m")
    except ValueError:
        record = logging.LogRecord("lanner.x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    shown = LineFormatter("%(message)s").format(record)
    assert shown.startswith("failed\nTraceback")
    assert shown.endswith(r"ValueError: bad \x1b[31m")
