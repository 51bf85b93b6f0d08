"""
Alerts by HTTP: one output for every service that takes them in a POST, told apart by their ``Service``.

Only an answer of the 200s counts. Of the others, what the same request can never change (400, 413, 415, 422) refuses an
alert for good; everything else is tried again, after ``Retry-After`` where the server says so.
"""

import email.utils
import gzip
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from engine.alert import Alert
from lanner import __version__
from lanner.errors import OutputError
from lanner.outputs.base import Undelivered
from lanner.outputs.forms import compact

_HOPELESS = frozenset({400, 413, 415, 422})
_SHOWN = 200  # characters of an answer


@dataclass(frozen=True, slots=True)
class TlsClientOptions:
    """
    TLS towards a server.

    Attributes:
        ca_file: Certificates to trust instead of the system's, PEM.
        cert_file: Certificate to show the server, PEM.
        key_file: Key of that certificate, PEM; when it is not in the same file.
        insecure: Whether any certificate of the server will do; for trying things out only.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """
    What every output by HTTP can be told.

    Attributes:
        headers: More headers of every request, a mapping.
        timeout: Seconds that one request may take.
        compress: Whether bodies are sent with gzip.
        tls: TLS towards the server.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0
    compress: bool = False
    tls: TlsClientOptions = field(default_factory=TlsClientOptions)


class Request(NamedTuple):
    """One request: where to, what, and as what."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Service:
    """
    What tells one service from another.

    Attributes:
        request: Makes the request that delivers alerts.
        at_once: Alerts per request.
        check: Raises ``Undelivered`` where an answer of the 200s does not mean that all alerts were taken.
        method: POST, or what the service wants instead.
    """

    request: Callable[[Sequence[Alert]], Request]
    at_once: int = 1
    check: Callable[[Answer], None] = lambda _answer: None
    method: str = "POST"


def context(tls: TlsClientOptions) -> ssl.SSLContext:
    """Return the TLS side of a client. Raises OutputError when a file cannot be used."""
    try:
        made = ssl.create_default_context(cafile=tls.ca_file or None)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert_file:
            made.load_cert_chain(tls.cert_file, tls.key_file or None)
    except (OSError, ssl.SSLError) as error:
        name = tls.cert_file if tls.cert_file and tls.ca_file == "" else tls.ca_file or tls.cert_file
        raise OutputError(f"{name}: cannot be used for TLS: {getattr(error, 'strerror', None) or error}") from None
    if tls.insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def checked_url(url: str, key: str = "url") -> str:
    """Return a URL of HTTP without a slash at its end. Raises ValueError when it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{key}: wanted is a URL that begins with http:// or https://")
    return url.rstrip("/")


class HttpOutput:
    """
    Delivers to a service by HTTP.

    Args:
        name: Of the output.
        service: What tells the service from others.
        options: What every output by HTTP can be told.
    """

    def __init__(self, name: str, service: Service, options: HttpOptions) -> None:
        self.name = name
        self._service = service
        self._options = options
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Prepare connections; none is made yet. Raises OutputError when a file of TLS cannot be used."""
        connector = aiohttp.TCPConnector(ssl=context(self._options.tls), limit=4)
        timeout = aiohttp.ClientTimeout(total=self._options.timeout)
        agent = {"User-Agent": f"lanner/{__version__}"}
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers=agent)

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send alerts in order. Raises Undelivered."""
        for at in range(0, len(alerts), self._service.at_once):
            try:
                await self._send(self._service.request(alerts[at : at + self._service.at_once]))
            except Undelivered as failure:
                failure.taken += at
                raise

    def url(self, alert: Alert) -> str:
        """Return where an alert would be sent to."""
        return self._service.request([alert]).url

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()

    async def _send(self, request: Request) -> None:
        assert self._session is not None
        body, headers = request.body, {**request.headers, **self._options.headers}
        if self._options.compress:
            body, headers["Content-Encoding"] = gzip.compress(body, 5), "gzip"
        url, method = request.url, self._service.method
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = Answer(response.status, await response.read())
                _judge(answer, response.headers, place(url))
        except TimeoutError:
            raise Undelivered(f"{place(url)}: no answer within {self._options.timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Undelivered(f"{place(url)}: {error or type(error).__name__}") from None
        self._service.check(answer)


def place(url: str) -> str:
    """Return what of a URL may be shown: paths and queries of webhooks hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


def _judge(answer: Answer, headers: Mapping[str, str], where: str) -> None:
    if 200 <= answer.status < 300:
        return
    said = said_by(answer)
    if 300 <= answer.status < 400:
        target = place(headers.get("Location", ""))
        raise Undelivered(f"{where} answers with a redirect ({answer.status}) to {target}; give the URL behind it")
    text = f"{where} answers {answer.status}{f': {said}' if said else ''}"
    raise Undelivered(text, after=retry_after(headers), refused=answer.status in _HOPELESS)


def said_by(answer: Answer) -> str:
    """Return the beginning of an answer's text on one line."""
    return " ".join(answer.body[: 4 * _SHOWN].decode("utf-8", "replace").split())[:_SHOWN]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, as a number or a date (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def json_request(url: str, payload: Any, headers: Mapping[str, str] | None = None) -> Request:
    """Return a request with a JSON body."""
    return Request(url, compact(payload).encode(), {"Content-Type": "application/json", **(headers or {})})
