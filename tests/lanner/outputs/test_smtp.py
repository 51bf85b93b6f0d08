"""Mail, taken by a real SMTP server."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from lanner.outputs.base import Undelivered
from lanner.outputs.http import TlsClientOptions
from lanner.outputs.smtp import SmtpOptions, SmtpOutput
from tests.ingest.k8saudit import certs
from tests.lanner.outputs.receiver import alert

WHO = {"sender": "lanner@example.com", "recipients": ("a@example.com", "b@example.com")}


class Mailbox:
    """What a server takes; it can refuse."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.to: list[list[str]] = []
        self.refuse = ""

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:
        if self.refuse:
            return self.refuse
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        self.to.append(list(envelope.rcpt_tos))
        return "250 kept"


Serve = Callable[..., Awaitable[tuple[Mailbox, int]]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(**options: Any) -> tuple[Mailbox, int]:
            mailbox, loop = Mailbox(), asyncio.get_running_loop()
            server = await loop.create_server(
                lambda: SMTP(mailbox, hostname="test", loop=loop, **options), "127.0.0.1", 0
            )
            await stack.enter_async_context(server)
            return mailbox, server.sockets[0].getsockname()[1]

        yield start


async def send(port: int, *alerts: Any, **options: Any) -> None:
    given = {"host": "127.0.0.1", "port": port, "encryption": "none", **WHO, **options}
    output = SmtpOutput("m", SmtpOptions(**given))
    await output.start()
    try:
        await output.deliver(alerts or [alert()])
    finally:
        await output.close()


async def test_a_mail_tells_the_alert(serve: Serve) -> None:
    mailbox, port = await serve()
    await send(port)
    (mail,) = mailbox.mails
    assert (mail["Subject"], mail["From"]) == ("[critical] Trail stopped", "lanner@example.com")
    assert mailbox.to == [["a@example.com", "b@example.com"]]
    text = mail.get_content()
    assert text.startswith("alice stopped <b>trail</b> & more")
    assert "ct.user: alice" in text
    assert "gone" not in text


async def test_alerts_that_wait_share_a_mail(serve: Serve) -> None:
    mailbox, port = await serve()
    await send(port, alert(uid="1"), alert(uid="2"), alert(uid="3"), digest=2)
    assert [mail["Subject"] for mail in mailbox.mails] == [
        "[critical] Trail stopped and 1 more",
        "[critical] Trail stopped",
    ]


async def test_no_event_can_add_a_header(serve: Serve) -> None:
    mailbox, port = await serve()
    await send(port, alert(message="x\r\nBcc: evil@example.com\r\n\r\nhi"), subject="%alert.message")
    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "x Bcc: evil@example.com hi"
    assert mailbox.to == [["a@example.com", "b@example.com"]]


async def test_starttls_and_a_password(serve: Serve, tmp_path: Path) -> None:
    authority = certs.Authority()
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certs.write(tmp_path, authority.issue("server", ip="127.0.0.1")))
    seen = []

    def check(server: SMTP, session: Any, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)

    mailbox, port = await serve(tls_context=context, require_starttls=True, auth_required=True, authenticator=check)
    tls = TlsClientOptions(ca_file=str(ca))
    await send(port, encryption="starttls", tls=tls, username="u", password="right")
    assert (seen[0], len(mailbox.mails)) == ((b"u", b"right"), 1)
    with pytest.raises(Undelivered, match="535"):
        await send(port, encryption="starttls", tls=tls, username="u", password="wrong")
    with pytest.raises(Undelivered, match="certificate verify failed"):
        await send(port, encryption="starttls", username="u", password="right")


async def test_what_a_server_refuses_is_told(serve: Serve) -> None:
    mailbox, port = await serve()
    mailbox.refuse = "451 try later"
    with pytest.raises(Undelivered, match=f"mail server 127.0.0.1:{port}: 451 try later"):
        await send(port)
    with pytest.raises(Undelivered, match=r"mail server 127.0.0.1:1: Connection refused"):
        await send(1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"recipients": ()}, "recipients: at least one"),
        ({"recipients": ("soc",)}, "'soc' is no mail address"),
        ({"digest": 0}, "digest: at least one"),
        ({"subject": "%alert.rul"}, "subject: source alert has no field 'alert.rul'"),
    ],
)
def test_a_mistake_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SmtpOutput("m", SmtpOptions(host="h", **{**WHO, **options}))
