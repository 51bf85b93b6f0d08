"""RFC 3339 timestamps to nanoseconds."""

from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ns(text: str) -> int:
    """
    Return nanoseconds since the Unix epoch; digits past nine are cut off, a time without zone is UTC.

    Raises:
        ValueError: It is no RFC 3339 date and time, or not between the years 1678 and 2261 (64 bits of nanoseconds).
    """
    try:
        time = datetime.fromisoformat(text if text.isupper() else text.upper())
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no RFC 3339 time") from None
    if len(text) < 19 or text[4] + text[7] + text[13] + text[16] != "--::":  # other ISO 8601 forms
        raise ValueError(f"{text[:40]!r} is no RFC 3339 time")
    if not 1678 <= time.year <= 2261:
        raise ValueError(f"{text[:40]!r} is out of range")
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH
    nanoseconds = (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
    return nanoseconds + _past_microseconds(text) if len(text) > 26 else nanoseconds


def _past_microseconds(text: str) -> int:
    """Return the nanoseconds that ``datetime`` cuts off."""
    digits = ""
    if text[19] in ".,":
        for character in text[26:29]:
            if not character.isdigit():
                break
            digits += character
    return int(digits.ljust(3, "0"))
