"""Alerts of the service about itself: source ``internal``, delivered like any other (spec: surface 1.9)."""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from engine.alert import Alert
from engine.priority import Priority
from lanner.hostname import hostname

SOURCE = "internal"
PREFIX = "Lanner internal: "


def internal_alert(what: str, priority: Priority, message: str, fields: Mapping[str, Any] | None = None) -> Alert:
    """
    Return an alert about the service.

    Args:
        what: The rest of the rule's name, after ``Lanner internal: ``.
        priority: How bad it is.
        message: What is wrong and what to do.
        fields: Of ``output_fields``.
    """
    now = time.time_ns()
    told = {name: value for name, value in (fields or {}).items() if value is not None}
    shown = f"{message} ({' '.join(f'{name}={value}' for name, value in told.items())})" if told else message
    uid = hashlib.blake2b(f"{SOURCE}\0{what}\0{now}".encode(), digest_size=16).hexdigest()
    return Alert(f"{PREFIX}{what}", priority, now, SOURCE, hostname(), shown, told, ("internal",), uid)
