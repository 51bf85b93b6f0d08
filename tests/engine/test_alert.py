import json

import msgspec
import pytest

from engine.alert import Alert
from engine.priority import Priority

COMMANDS = "a\nb\x1b[2J\x7f\x9b2J\u202eexe.gpj\u2066\u2028c"
SHOWN = r"a\nb\u001b[2J\u007f\u009b2J\u202eexe.gpj\u2066\u2028c"


def alert(message: str) -> Alert:
    return Alert("r", Priority.WARNING, 0, "aws_cloudtrail", "h", message, {"ct.user": message}, (), "uid")


def test_text_of_an_event_stays_on_its_line_and_commands_no_terminal() -> None:
    assert alert(COMMANDS).text(iso_8601=True).endswith(f"Warning {SHOWN}")


def test_json_escapes_the_same_and_means_what_the_event_says() -> None:
    line = alert(COMMANDS).json()
    assert not set(line) & set("\n\x1b\x7f\x9b\u202e\u2066\u2028")
    assert json.loads(line)["output_fields"]["ct.user"] == COMMANDS


@pytest.mark.parametrize("message", ["größer \U0001f985", "half \ud800", 'quote " back \\'])
def test_json_holds_other_characters_as_they_are(message: str) -> None:
    line = msgspec.structs.replace(alert(message), output_fields={}).json()
    assert json.loads(line.encode())["output"].endswith(message.replace("\ud800", "\ufffd\ufffd\ufffd"))
    assert "\\u" not in line
