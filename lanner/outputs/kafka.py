"""
Alerts to Kafka: a record for each, which counts once all replicas that are in step have it.

Sources: Kafka protocol (Produce with acks -1, InitProducerId, error codes 10, 18 and 87), KIP-98 (idempotent producer).
"""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.alert import Alert
from lanner.alertfields import AlertText, BadText, alert_text
from lanner.outputs.base import Undelivered
from lanner.outputs.forms import FormName, form
from lanner.outputs.http import TlsClientOptions, context
from lanner.outputs.libraries import library

_HOPELESS = frozenset({10, 18, 87})  # too large, too large in sum, invalid
_LARGEST = 2**26
_CLOSING = 1.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """
    A cluster of Kafka, or what speaks its protocol.

    Attributes:
        brokers: HOST:PORT of some of them, a list; the others are found through these.
        topic: Topic of the records.
        key: Key of a record, with %alert.rule and the like; alerts of the same key stay in order. "" for none.
        format: Form of an alert: falco-json, text, ecs, ocsf or cef.
        compression: How records are compressed.
        encryption: Whether connections use TLS.
        sasl: How the service says who it is; none where it does not, or does by its certificate.
        username: For SASL.
        password: For SASL.
        client_id: Name of this client in the logs of brokers.
        timeout: Seconds for a connection, and until all alerts that wait are taken.
        tls: TLS towards the brokers, for encryption tls.
    """

    brokers: tuple[str, ...]
    topic: str = "lanner"
    key: str = "%alert.rule"
    format: FormName = "falco-json"
    compression: Literal["none", "gzip"] = "none"
    encryption: Literal["none", "tls"] = "none"
    sasl: Literal["none", "plain", "scram-sha-256", "scram-sha-512"] = "none"
    username: str = ""
    password: str = ""
    client_id: str = "lanner"
    timeout: float = 30.0
    tls: TlsClientOptions = field(default_factory=TlsClientOptions)


class KafkaOutput:
    """
    Sends a record for each alert, with the alert's uid as its header ``uid``.

    Raises:
        ValueError: An option makes no sense, or the library is not installed.
    """

    def __init__(self, name: str, options: KafkaOptions) -> None:
        self.name = name
        self._library = library("aiokafka", "kafka")
        self._errors = library("aiokafka.errors", "kafka")
        _check(options)
        self._options = options
        self._key = _key(options.key)
        self._line = form(options.format)
        self._producer: Any = None

    async def start(self) -> None:
        """Look at the files of TLS. Raises OutputError."""
        _context(self._options)

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send alerts in order. Raises Undelivered."""
        try:
            await self._send(alerts, 0)
        except Undelivered as failure:
            if not failure.refused or len(alerts) == 1:
                raise
            # Brokers refuse a batch as one; which of its alerts it is about shows when each goes alone.
            for at in range(failure.taken, len(alerts)):
                await self._send(alerts[at : at + 1], at)

    async def close(self) -> None:
        """Close the connections; what brokers have not taken by now is given up."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stopped(producer, self._errors.KafkaError("given up"))

    async def _send(self, alerts: Sequence[Alert], done: int) -> None:
        sent: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(self._options.timeout):
                producer = await self._started()
                for alert in alerts:
                    sent.append(await self._queued(producer, alert))  # noqa: PERF401 - those before a failure count
                for one in sent:
                    await one
        except (self._errors.KafkaError, OSError) as error:
            await self.close()
            taken = _taken(sent)
            refused = getattr(error, "errno", None) in _HOPELESS
            raise Undelivered(f"{self._where}: {_said(error)}", done + taken, refused=refused) from None

    async def _queued(self, producer: Any, alert: Alert) -> asyncio.Future[Any]:
        body = self._line(alert).encode("utf-8", "replace")
        key = self._key(alert).encode("utf-8", "replace") if self._options.key else None
        sent: asyncio.Future[Any] = await producer.send(
            self._options.topic, body, key=key, headers=[("uid", alert.uid.encode())]
        )
        return sent

    async def _started(self) -> Any:
        if self._producer is None:
            self._producer = self._library.AIOKafkaProducer(**self._settings())
            await self._producer.start()
        return self._producer

    def _settings(self) -> dict[str, Any]:
        options = self._options
        has_sasl, has_tls = options.sasl != "none", options.encryption == "tls"
        return {
            "bootstrap_servers": list(options.brokers),
            "client_id": options.client_id,
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": None if options.compression == "none" else options.compression,
            "max_request_size": _LARGEST,  # brokers know how much they take
            "request_timeout_ms": int(options.timeout * 1000),
            "security_protocol": ("SASL_" if has_sasl else "") + ("SSL" if has_tls else "PLAINTEXT"),
            "ssl_context": _context(options),
            "sasl_mechanism": options.sasl.upper() if has_sasl else "PLAIN",
            "sasl_plain_username": options.username or None,
            "sasl_plain_password": options.password or None,
        }

    @property
    def _where(self) -> str:
        return f"Kafka at {', '.join(self._options.brokers)}"


def _check(options: KafkaOptions) -> None:
    if not options.brokers or not all(":" in broker and "/" not in broker for broker in options.brokers):
        raise ValueError("brokers: wanted is a list of HOST:PORT")
    if (options.sasl != "none") != bool(options.username):
        raise ValueError("sasl: a mechanism and a username are wanted, or neither")


def _key(template: str) -> AlertText:
    try:
        return alert_text(template)
    except BadText as error:
        raise ValueError(f"key: {error}") from None


def _context(options: KafkaOptions) -> ssl.SSLContext | None:
    return context(options.tls) if options.encryption == "tls" else None


async def _stopped(producer: Any, error: Exception) -> None:
    """
    Stop a producer, and fail what it has not sent.

    An idempotent one never gives that up by itself, and the library has no public way to make it.
    """
    producer._message_accumulator.fail_all(error)
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_CLOSING):
            await producer.stop()
    with contextlib.suppress(Exception):
        await producer.client.close()


def _taken(sent: Sequence[asyncio.Future[Any]]) -> int:
    """Return how many at the beginning arrived; all errors are looked at, or asyncio complains of them."""
    arrived = [one.done() and not one.cancelled() and one.exception() is None for one in sent]
    return arrived.index(False) if False in arrived else len(arrived)


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
