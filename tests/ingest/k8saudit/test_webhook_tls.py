"""The webhook over real TLS: certificates of both sides, and files that change while it runs."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from ingest.base import SourceError
from ingest.k8saudit.auth import Token
from ingest.k8saudit.listener import ListenOptions
from ingest.k8saudit.tls import TlsOptions
from ingest.k8saudit.webhook import WebhookOptions, WebhookSource
from tests.ingest.k8saudit.certs import Authority, Pair, encrypted, write
from tests.ingest.k8saudit.receiver import Receiver, receiver
from tests.ingest.k8saudit.samples import audit, body

GOOD = body(audit())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def clients() -> Authority:
    return Authority("authority of clients")


@pytest.fixture
def files(tmp_path: Path, authority: Authority, clients: Authority) -> dict[str, str]:
    cert, key = write(tmp_path, authority.issue("lanner", ip="127.0.0.1"))
    ca = tmp_path / "clients.crt"
    ca.write_bytes(clients.pem)
    return {"cert": cert, "key": key, "client_ca": str(ca)}


@asynccontextmanager
async def over_tls(tls: TlsOptions, tokens: tuple[Token, ...] = ()) -> AsyncIterator[Receiver]:
    options = WebhookOptions(listen=ListenOptions(tls=tls, tls_check=0.02), tokens=tokens)
    async with receiver(options) as running:
        yield running


def trusting(authority: Authority, client: Pair | None = None, folder: Path | None = None) -> ssl.SSLContext:
    """Return the context of a client; each use makes a new connection."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if client and folder:
        context.load_cert_chain(*write(folder, client, "client"))
    return context


async def post(running: Receiver, context: ssl.SSLContext, **headers: str) -> int:
    """Post on a connection of its own."""
    async with aiohttp.ClientSession() as session:
        headers = {"Content-Type": "application/json", **headers}
        async with session.post(running.url, data=GOOD, headers=headers, ssl=context) as response:
            return response.status


def replace_file(name: str, data: bytes | None) -> None:
    """Give a file other contents, or remove it."""
    if data is None:
        Path(name).unlink()
    else:
        Path(name).write_bytes(data)


async def serial(running: Receiver, context: ssl.SSLContext) -> str:
    """Return the serial number of the certificate that the server shows to a new connection."""
    _, writer = await asyncio.open_connection("127.0.0.1", running.source.port, ssl=context)
    try:
        return str(writer.get_extra_info("peercert")["serialNumber"])
    finally:
        writer.close()


async def test_events_over_tls(files: dict[str, str], authority: Authority) -> None:
    async with over_tls(TlsOptions(files["cert"], files["key"])) as running:
        assert await post(running, trusting(authority)) == 200
        assert len(running.events) == 1


async def test_certificate_and_key_may_be_one_file(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("lanner", ip="127.0.0.1")
    combined = tmp_path / "falco.pem"
    combined.write_bytes(pair.key + pair.cert)

    async with over_tls(TlsOptions(str(combined))) as running:
        assert await post(running, trusting(authority)) == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_versions_before_1_2_are_refused(files: dict[str, str], authority: Authority) -> None:
    async with over_tls(TlsOptions(files["cert"], files["key"])) as running:
        old = trusting(authority)
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(aiohttp.ClientError):
            await post(running, old)

        new = trusting(authority)
        new.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await post(running, new) == 200


async def test_plain_http_on_the_tls_port_harms_nobody(files: dict[str, str], authority: Authority) -> None:
    async with over_tls(TlsOptions(files["cert"], files["key"])) as running:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.post(running.url.replace("https", "http"), data=GOOD)

        assert await post(running, trusting(authority)) == 200


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.mark.parametrize("begun", [b"", HELLO, b"\x16\x03\x01\xff\xff", b"\x80" * 99])
async def test_handshakes_that_are_not_finished_keep_nobody_out(
    files: dict[str, str], authority: Authority, begun: bytes
) -> None:
    tls = TlsOptions(files["cert"], files["key"])
    async with receiver(WebhookOptions(ListenOptions(tls=tls, header_timeout=0.5))) as running:
        crowd = [await asyncio.open_connection("127.0.0.1", running.source.port) for _ in range(300)]
        for _, writer in crowd:
            writer.write(begun)
        assert await post(running, trusting(authority)) == 200
        for reader, writer in crowd:  # which are closed when their time is over
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 30)
            writer.close()
        assert await post(running, trusting(authority)) == 200


async def test_only_clients_of_the_given_authority_get_in(
    files: dict[str, str], authority: Authority, clients: Authority, tmp_path: Path
) -> None:
    stranger = Authority("authority of clients").issue("kube-apiserver")
    async with over_tls(TlsOptions(**files)) as running:
        assert await post(running, trusting(authority, clients.issue("kube-apiserver"), tmp_path)) == 200
        for context in (trusting(authority), trusting(authority, stranger, tmp_path)):
            with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
                await post(running, context)

        assert len(running.events) == 1


async def test_a_client_certificate_must_have_an_allowed_name(
    files: dict[str, str], authority: Authority, clients: Authority, tmp_path: Path
) -> None:
    tls = TlsOptions(**files, allowed_names=("kube-apiserver", "audit.prod.example"))
    async with over_tls(tls) as running:
        for pair, status in (
            (clients.issue("kube-apiserver"), 200),
            (clients.issue("x", dns="audit.prod.example"), 200),
            (clients.issue("kubelet"), 403),
            (clients.issue("x", dns="audit.test.example"), 403),
        ):
            assert await post(running, trusting(authority, pair, tmp_path)) == status


async def test_certificate_and_token_are_both_demanded_when_both_are_set(
    files: dict[str, str], authority: Authority, clients: Authority, tmp_path: Path
) -> None:
    token = Token("t", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    context = trusting(authority, clients.issue("kube-apiserver"), tmp_path)
    async with over_tls(TlsOptions(**files), (token,)) as running:
        assert await post(running, context) == 401
        assert await post(running, context, Authorization="Bearer test") == 200


async def test_a_changed_certificate_is_shown_to_new_connections_and_old_ones_stay(
    files: dict[str, str], authority: Authority, tmp_path: Path
) -> None:
    async with over_tls(TlsOptions(files["cert"], files["key"])) as running:
        trust = trusting(authority)
        before = await serial(running, trust)
        assert (await running.post(GOOD, ssl=trust)).status == 200

        write(tmp_path, authority.issue("lanner", ip="127.0.0.1"))
        await running.until(lambda: running.source.counters["tls_reload:ok"] > 0)

        assert await serial(running, trust) != before
        assert (await running.post(GOOD, ssl=trust)).status == 200


async def test_a_certificate_that_does_not_fit_its_key_is_not_taken(
    files: dict[str, str], authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with over_tls(TlsOptions(files["cert"], files["key"])) as running:
        before = await serial(running, trusting(authority))

        replace_file(files["cert"], authority.issue("other", ip="127.0.0.1").cert)
        await running.until(lambda: running.source.counters["tls_reload:failed"] > 0)
        assert await serial(running, trusting(authority)) == before
        assert "key values mismatch; the certificate in use stays" in caplog.text

        replace_file(files["cert"], None)
        await running.until(lambda: running.source.counters["tls_reload:failed"] > 1)
        assert await serial(running, trusting(authority)) == before

        write(tmp_path, authority.issue("lanner", ip="127.0.0.1"))
        await running.until(lambda: running.source.counters["tls_reload:ok"] > 0)
        assert await serial(running, trusting(authority)) != before


async def test_a_certificate_behind_a_link_is_followed_as_in_mounted_secrets(
    tmp_path: Path, authority: Authority
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, authority.issue("lanner", ip="127.0.0.1"))
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "first")

    async with over_tls(TlsOptions(str(link / "server.crt"), str(link / "server.key"))) as running:
        before = await serial(running, trusting(authority))

        (tmp_path / "new").symlink_to(tmp_path / "second")
        (tmp_path / "new").replace(link)
        await running.until(lambda: running.source.counters["tls_reload:ok"] > 0)

        assert await serial(running, trusting(authority)) != before


async def test_a_new_client_authority_is_trusted_without_a_restart(
    files: dict[str, str], authority: Authority, clients: Authority, tmp_path: Path
) -> None:
    successor = Authority("next authority")
    context = trusting(authority, successor.issue("kube-apiserver"), tmp_path)
    async with over_tls(TlsOptions(**files)) as running:
        with pytest.raises((aiohttp.ClientError, ConnectionError, ssl.SSLError)):
            await post(running, context)

        replace_file(files["client_ca"], clients.pem + successor.pem)
        await running.until(lambda: running.source.counters["tls_reload:ok"] > 0)

        assert await post(running, context) == 200


async def _start(tls: TlsOptions) -> None:
    await WebhookSource(WebhookOptions(listen=ListenOptions(port=0, tls=tls))).start()


async def test_files_that_cannot_be_used_are_named_at_the_start(
    files: dict[str, str], authority: Authority, tmp_path: Path
) -> None:
    locked = encrypted(authority.issue("x"), b"secret")
    cases = [
        (TlsOptions("/no/such.crt", files["key"]), "TLS certificate /no/such.crt and its key: No such file"),
        (TlsOptions(files["cert"]), "TLS certificate .*server.crt and its key: "),
        (TlsOptions(files["key"], files["cert"]), "TLS certificate .*server.key and its key: "),
        (TlsOptions(*write(tmp_path, locked, "locked")), "TLS certificate .*locked.crt .*: the key is encrypted"),
        (TlsOptions(files["cert"], files["key"], "/no/ca.crt"), "TLS client_ca /no/ca.crt: No such file"),
        (TlsOptions(files["cert"], files["key"], files["key"]), "TLS client_ca .*server.key: "),
        (TlsOptions(files["cert"], files["key"], "", ("x",)), "no client_ca"),
    ]
    for tls, message in cases:
        with pytest.raises(SourceError, match=message):
            await _start(tls)
