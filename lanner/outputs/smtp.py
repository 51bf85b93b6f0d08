"""Alerts by mail (RFC 5321, RFC 5322)."""

import email.utils
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import partial
from typing import Literal

from engine import times
from engine.alert import Alert
from lanner.alertfields import AlertText, BadText, alert_text
from lanner.outputs.base import Undelivered
from lanner.outputs.forms import cut
from lanner.outputs.http import TlsClientOptions, context
from lanner.worker import Worker

_PORTS = {"none": 25, "starttls": 587, "tls": 465}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpOptions:
    """
    A mail server.

    Attributes:
        host: Of the server.
        port: Of the server; 587 with STARTTLS, 465 with TLS, 25 without, when not given.
        encryption: TLS after a greeting in clear (starttls), from the beginning (tls), or none.
        username: For authentication; none when not given.
        password: For authentication.
        sender: Address that mails come from.
        recipients: Addresses that they go to, a list.
        subject: Of a mail with one alert, with %alert.rule and the like.
        digest: Alerts in one mail at most.
        timeout: Seconds that the server may be silent.
        tls: TLS towards the server.
    """

    host: str
    port: int = 0
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = ""
    sender: str
    recipients: tuple[str, ...]
    subject: str = "[%alert.priority] %alert.rule"
    digest: int = 50
    timeout: float = 30.0
    tls: TlsClientOptions = field(default_factory=TlsClientOptions)


class SmtpOutput:
    """
    Sends a mail for the alerts that wait, one or a few.

    Raises:
        ValueError: An option makes no sense.
    """

    def __init__(self, name: str, options: SmtpOptions) -> None:
        self.name = name
        self._options = options
        self._subject = _subject(options)
        self._worker = Worker("smtp")

    async def start(self) -> None:
        """Look at the files of TLS. Raises OutputError."""
        if self._options.encryption != "none":
            context(self._options.tls)

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send alerts in order. Raises Undelivered."""
        most = self._options.digest
        for at in range(0, len(alerts), most):
            mail = self._mail(alerts[at : at + most])
            try:
                await self._worker.run(partial(self._send, mail))
            except smtplib.SMTPRecipientsRefused as error:
                raise Undelivered(f"{self._where}: all recipients are refused: {_said(error)}", at) from None
            except smtplib.SMTPException as error:
                raise Undelivered(f"{self._where}: {_said(error)}", at) from None
            except OSError as error:
                raise Undelivered(f"{self._where}: {error.strerror or error}", at) from None

    async def close(self) -> None:
        """End the thread."""
        self._worker.end()

    @property
    def _where(self) -> str:
        return f"mail server {self._options.host}:{self._port}"

    @property
    def _port(self) -> int:
        return self._options.port or _PORTS[self._options.encryption]

    def _mail(self, alerts: Sequence[Alert]) -> EmailMessage:
        mail = EmailMessage()
        first = alerts[0]
        one = self._subject(first)
        subject = one if len(alerts) == 1 else f"{one} and {len(alerts) - 1} more"
        mail["Subject"] = cut(" ".join(subject.split()), 200)
        mail["From"] = self._options.sender
        mail["To"] = ", ".join(self._options.recipients)
        mail["Date"] = email.utils.formatdate(localtime=False)
        mail["Message-ID"] = f"<{first.uid}.{len(alerts)}@lanner>"
        mail.set_content("\n".join(map(_paragraph, alerts)))
        return mail

    def _send(self, mail: EmailMessage) -> None:
        options = self._options
        tls = context(options.tls) if options.encryption != "none" else None
        with self._connection(tls) as server:
            if options.encryption == "starttls":
                server.starttls(context=tls)
            if options.username:
                server.login(options.username, options.password)
            server.send_message(mail)

    def _connection(self, tls: ssl.SSLContext | None) -> smtplib.SMTP:
        host, timeout = self._options.host, self._options.timeout
        if self._options.encryption == "tls":
            return smtplib.SMTP_SSL(host, self._port, timeout=timeout, context=tls)
        return smtplib.SMTP(host, self._port, timeout=timeout)


def _subject(options: SmtpOptions) -> AlertText:
    if not options.recipients:
        raise ValueError("recipients: at least one address is wanted")
    if options.digest < 1:
        raise ValueError(f"digest: at least one alert goes into a mail, not {options.digest}")
    for address in (options.sender, *options.recipients):
        if "@" not in email.utils.parseaddr(address)[1]:
            raise ValueError(f"{address!r} is no mail address")
    try:
        return alert_text(options.subject)
    except BadText as error:
        raise ValueError(f"subject: {error}") from None


def _paragraph(alert: Alert) -> str:
    about = {
        "Rule": alert.rule,
        "Priority": alert.priority.label,
        "Time": times.utc_json(alert.time_ns),
        "Source": alert.source,
        "Host": alert.hostname,
        "Tags": ", ".join(alert.tags),
        **{name: str(value) for name, value in alert.output_fields.items() if value is not None},
    }
    lines = [alert.message, "", *(f"{name}: {' '.join(str(value).split())}" for name, value in about.items())]
    return "\n".join(lines).encode("utf-8", "replace").decode() + "\n"


def _said(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {text}"
    return str(error) or type(error).__name__
