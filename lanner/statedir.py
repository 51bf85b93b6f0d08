"""Where Lanner keeps what must outlive it."""

import os
from pathlib import Path


def state_directory() -> Path:
    """
    Return the directory: systemd's ``STATE_DIRECTORY``, ``/var/lib/lanner`` for root, else the user's (XDG).

    It need not exist.
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/lanner")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lanner"
