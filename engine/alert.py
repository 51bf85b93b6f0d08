"""Alerts: a match told to people and machines, in Falco's text and JSON shapes (spec: rule-language 5.2, 5.3)."""

import json
from collections.abc import Collection, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from engine import times
from engine.evaluate import Match
from engine.priority import Priority

_DIRECTION = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Characters that change the order in which a terminal shows the others."""
_OBEYED = {c: f"\\u{c:04x}" for c in (127, *range(128, 160), 0x2028, 0x2029, *_DIRECTION)}
_CONTROL = _OBEYED | {c: f"\\u{c:04x}" for c in range(32)} | {9: "\\t", 10: "\\n", 13: "\\r"}


class Alert(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    One alert; a struct, since these are made and written to disk in a fraction of the time.

    Attributes:
        rule, priority, source, tags: Of the rule; tags sorted, each once.
        time_ns: Time of the event, nanoseconds since the Unix epoch.
        hostname: Machine that evaluated the event.
        message: The rendered output, without time and priority.
        output_fields: Typed values of the fields that the output names.
        uid: Stable identity: the same event and rule give the same one, on any machine.
    """

    rule: str
    priority: Priority
    time_ns: int
    source: str
    hostname: str
    message: str
    output_fields: Mapping[str, Any]
    tags: tuple[str, ...]
    uid: str

    def text(self, iso_8601: bool = False) -> str:
        """Return one line for people; no event can forge a line in it or command a terminal."""
        return _encodable(f"{self._prefix(iso_8601)} {self.message}".translate(_CONTROL))

    def _prefix(self, iso_8601: bool) -> str:
        time = times.utc_iso(self.time_ns) if iso_8601 else times.local_time(self.time_ns)
        return f"{time}: {self.priority.label}"

    def as_dict(self, iso_8601: bool = False) -> dict[str, Any]:
        """Return the alert as Falco's JSON has it."""
        time_field = "evt.time.iso8601" if iso_8601 else "evt.time"
        return {
            "hostname": self.hostname,
            "output": f"{self._prefix(iso_8601)} {self.message}",
            "output_fields": {time_field: self.time_ns, **self.output_fields},
            "priority": self.priority.label,
            "rule": self.rule,
            "source": self.source,
            "tags": list(self.tags),
            "time": times.utc_json(self.time_ns),
        }

    def json(
        self,
        iso_8601: bool = False,
        with_uid: bool = False,
        without: Collection[str] = (),
        with_message: bool = False,
    ) -> str:
        """
        Return the alert as one line of JSON with sorted keys.

        Args:
            iso_8601: Form of the time in ``output``.
            with_uid: Whether the uid is there, as ``lanner.uid``.
            without: Keys that are left out.
            with_message: Whether the message alone is there, as ``message``.
        """
        if not without:
            try:
                return self._line(iso_8601, with_uid, with_message)
            except (UnicodeEncodeError, TypeError, RecursionError):  # such as halves of surrogate pairs
                pass
        shown = {key: value for key, value in self.as_dict(iso_8601).items() if key not in without}
        if with_uid:
            shown["lanner"] = {"uid": self.uid}
        if with_message:
            shown["message"] = self.message
        return _encodable(_obeyed(json.dumps(shown, sort_keys=True, ensure_ascii=False, separators=(",", ":"))))

    def _line(self, iso_8601: bool, with_uid: bool, with_message: bool) -> str:
        """Return all of it as JSON, put together from its parts in the order of their keys."""
        output = f"{self._prefix(iso_8601)} {self.message}"
        time_field = "evt.time.iso8601" if iso_8601 else "evt.time"
        fields = {time_field: self.time_ns, **self.output_fields}
        head, tail = _json_of_rule(self.hostname, self.priority, self.rule, self.source, self.tags)
        more = f'"lanner":{{"uid":{_json(self.uid)}}},' if with_uid else ""
        more += f'"message":{_json(self.message)},' if with_message else ""
        return _obeyed(
            f'{head}{more}"output":{_json(output)},"output_fields":{_json(fields)},'
            f'{tail},"time":"{times.utc_json(self.time_ns)}"}}'
        )


_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def _json(value: Any) -> str:
    return _encode_sorted(value).decode()


@lru_cache(maxsize=4096)
def _json_of_rule(hostname: str, priority: Priority, rule: str, source: str, tags: tuple[str, ...]) -> tuple[str, str]:
    """Return what is the same in the JSON of all alerts of a rule: the beginning, and what is before the time."""
    tail = f'"priority":{_json(priority.label)},"rule":{_json(rule)},"source":{_json(source)},"tags":{_json(tags)}'
    return f'{{"hostname":{_json(hostname)},', tail


def _obeyed(text: str) -> str:
    """Escape what a terminal would obey."""
    return text if text.isascii() and "\x7f" not in text else text.translate(_OBEYED)


def _encodable(text: str) -> str:
    """Replace what cannot be written as UTF-8: halves of surrogate pairs, bytes that were none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def make_alert(match: Match, hostname: str) -> Alert:
    """Render a match as an alert."""
    rule, event = match.rule, match.event
    message, fields = rule.output.fill(event)
    for name, template in rule.extra_fields:
        fields[name] = _extra(template, event)
    return Alert(
        rule.name,
        rule.priority,
        event.time_ns,
        rule.source,
        hostname,
        message,
        fields,
        _sorted_once(tuple(rule.tags)),
        alert_uid(rule.name, event.source, event.uid),
    )


@lru_cache(maxsize=4096)
def _sorted_once(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(tags)))


def _extra(template: Any, event: Any) -> Any:
    """Return an extra field: the typed value of a lone token, else the rendered text."""
    if len(template.parts) == 1 and template.tokens:
        return template.fields(event)[template.tokens[0].key]
    return template.render(event)


def alert_uid(rule: str, source: str, event_uid: str) -> str:
    """Return the identity of an alert: 128 bits in hexadecimal digits."""
    text = "\0".join((rule, source, event_uid))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
