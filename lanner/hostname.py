"""The name of this machine, as alerts carry it."""

import os
import socket


def hostname() -> str:
    """Return ``LANNER_HOSTNAME``, else Falco's ``FALCO_HOSTNAME``, else what the system says."""
    return os.environ.get("LANNER_HOSTNAME") or os.environ.get("FALCO_HOSTNAME") or socket.gethostname()
