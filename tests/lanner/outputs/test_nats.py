"""Messages that a real NATS server takes."""

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lanner.errors import OutputError
from lanner.outputs.base import Undelivered
from lanner.outputs.http import TlsClientOptions
from lanner.outputs.nats import NatsOptions, NatsOutput
from tests.ingest.k8saudit import certs
from tests.lanner.outputs.receiver import alert
from tests.lanner.outputs.servers import Server, binary, free_port

nats = pytest.importorskip("nats", reason="the package nats-py is missing")

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    program, started = binary("nats-server", "nats-server"), []

    def start(config: str = "") -> Server:
        file = tmp_path / "nats.conf"
        file.write_text(config)
        port = free_port()
        server = Server([program, "-a", "127.0.0.1", "-p", str(port), "-c", str(file)], port, tmp_path)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


def output(server: Server, **options: Any) -> NatsOutput:
    given = {"servers": (f"nats://127.0.0.1:{server.port}",), "timeout": 5.0, **options}
    return NatsOutput("n", NatsOptions(**given))


async def send(made: NatsOutput, *alerts: Any) -> None:
    await made.start()
    try:
        await made.deliver(alerts or [alert()])
    finally:
        await made.close()


def stored(store: Path) -> str:
    return f'jetstream {{store_dir: "{store}"}}\nmax_payload: 4096\n'


async def stream(server: Server, **more: Any) -> Any:
    client = await nats.connect(f"nats://127.0.0.1:{server.port}")
    made = client.jetstream()
    await made.add_stream(name="alerts", subjects=["lanner.>"], **more)
    return client, made


def uid(text: bytes) -> str:
    return str(json.loads(text)["lanner"]["uid"])


async def uids(made: Any) -> list[str]:
    last = (await made.stream_info("alerts")).state.last_seq
    return [uid((await made.get_msg("alerts", seq)).data) for seq in range(1, last + 1)]


async def test_subscribers_get_alerts_in_order_with_their_ids(serve: Serve) -> None:
    server = serve()
    client = await nats.connect(f"nats://127.0.0.1:{server.port}")
    inbox = await client.subscribe("lanner.>")
    await client.flush()
    await send(output(server), *(alert(uid=str(n)) for n in range(300)))
    got = [await inbox.next_msg(5) for _ in range(300)]
    await client.close()
    assert [uid(message.data) for message in got] == [str(n) for n in range(300)]
    assert [message.headers["Nats-Msg-Id"] for message in got] == [str(n) for n in range(300)]
    assert got[0].subject == "lanner.critical.Trail_stopped"


async def test_an_event_decides_nothing_about_subjects(serve: Serve) -> None:
    server = serve()
    client = await nats.connect(f"nats://127.0.0.1:{server.port}")
    inbox = await client.subscribe(">")
    await client.flush()
    evil = {"ct.user": "a.b.>\r\nPUB x 1\r\n *", "ct.region": ""}
    subject = "l.%alert.field[ct.user].%alert.field[ct.region].%alert.field[none]"
    await send(output(server, subject=subject), alert(output_fields=evil))
    assert (await inbox.next_msg(5)).subject == "l.a_b_PUB_x_1_._._NA_"
    await client.close()


async def test_a_stream_acknowledges_and_knows_repeats(serve: Serve, tmp_path: Path) -> None:
    server = serve(stored(tmp_path))
    client, made = await stream(server)
    for _ in range(2):
        await send(output(server, jetstream=True), alert(uid="1"), alert(uid="2"))
    assert await uids(made) == ["1", "2"]
    await client.close()


async def test_a_stream_that_is_missing_is_waited_for(serve: Serve, tmp_path: Path) -> None:
    server = serve(stored(tmp_path))
    with pytest.raises(Undelivered, match=r"no stream takes the subject lanner.critical.Trail_stopped") as failure:
        await send(output(server, jetstream=True))
    assert not failure.value.refused
    client, made = await stream(server)
    await send(output(server, jetstream=True))
    assert await uids(made) == ["00ff"]
    await client.close()


@pytest.mark.parametrize("jetstream", [False, True])
async def test_an_alert_larger_than_the_server_takes_is_refused_and_the_others_are_not(
    serve: Serve, tmp_path: Path, jetstream: bool
) -> None:
    server = serve(stored(tmp_path))
    client, made = await stream(server)
    sender = output(server, jetstream=jetstream)
    await sender.start()
    with pytest.raises(Undelivered, match="bytes are more than it takes, 4096") as failure:
        await sender.deliver([alert(uid="1"), alert(uid="large", message="x" * 5000), alert(uid="3")])
    assert (failure.value.taken, failure.value.refused) == (1, True)
    await sender.deliver([alert(uid="3")])
    assert await uids(made) == ["1", "3"]
    await sender.close()
    await client.close()


async def test_the_largest_message_that_a_server_takes_gets_there(serve: Serve, tmp_path: Path) -> None:
    server = serve(stored(tmp_path))
    client, made = await stream(server)
    room = 4096 - len("NATS/1.0\r\nNats-Msg-Id: 00ff\r\n\r\n") - len(alert(message="").json(with_uid=True))
    sender = output(server, jetstream=True)
    with pytest.raises(Undelivered, match="more than it takes"):
        await sender.deliver([alert(message="x" * (room + 1))])
    await sender.deliver([alert(message="x" * room)])
    assert await uids(made) == ["00ff"]
    await sender.close()
    await client.close()


async def test_what_a_stream_finds_too_large_is_refused_and_a_full_one_is_waited_for(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(stored(tmp_path))
    client, made = await stream(server, max_msg_size=1000, max_msgs=1, discard=nats.js.api.DiscardPolicy.NEW)
    with pytest.raises(Undelivered, match="message size exceeds maximum allowed") as failure:
        await send(output(server, jetstream=True), alert(uid="1"), alert(uid="2", message="x" * 1000))
    assert (failure.value.taken, failure.value.refused) == (1, True)
    with pytest.raises(Undelivered, match="maximum messages exceeded") as failure:
        await send(output(server, jetstream=True), alert(uid="3"))
    assert not failure.value.refused
    assert await uids(made) == ["1"]
    await client.close()


@pytest.mark.parametrize("jetstream", [False, True])
async def test_alerts_go_on_when_the_server_is_back(serve: Serve, tmp_path: Path, jetstream: bool) -> None:
    server = serve(stored(tmp_path))
    client, _ = await stream(server)
    await client.close()
    sender = output(server, jetstream=jetstream)
    await sender.deliver([alert(uid="1")])
    server.stop()
    for _ in range(2):
        with pytest.raises(Undelivered, match=f"NATS server .*127.0.0.1:{server.port}") as failure:
            await sender.deliver([alert(uid="2")])
        assert not failure.value.refused
    server.start()
    await sender.deliver([alert(uid="2")])
    await sender.close()
    client = await nats.connect(f"nats://127.0.0.1:{server.port}")
    assert await uids(client.jetstream()) == ["1", "2"]
    await client.close()


async def test_the_next_server_of_a_list_is_tried(serve: Serve) -> None:
    server = serve()
    both = (f"nats://127.0.0.1:{free_port()}", f"nats://127.0.0.1:{server.port}")
    await send(output(server, servers=both))


PASSWORD = """
authorization {users: [
  {user: lanner, password: right, permissions: {publish: ["lanner.>", "$JS.>"], subscribe: "_INBOX.>"}}
]}
"""


async def test_passwords_and_permissions(serve: Serve) -> None:
    server = serve(PASSWORD)
    who = {"username": "lanner", "password": "right"}
    await send(output(server, **who))
    with pytest.raises(Undelivered, match="Authorization Violation") as failure:
        await send(output(server, username="lanner", password="wrong-one"))
    assert "wrong-one" not in str(failure.value)
    sender = output(server, subject="%alert.field[to].%alert.field[of]", **who)
    ours, theirs = {"to": "lanner", "of": "x"}, {"to": "secret", "of": "info"}
    for _ in range(20):  # what is refused is known in time, whatever the library wrote first
        with pytest.raises(Undelivered, match=r"(?i)permissions violation for publish to .secret.info") as failure:
            await send(sender, alert(uid="1", output_fields=ours), alert(uid="2", output_fields=theirs))
        assert (failure.value.taken, failure.value.refused) == (1, False)


async def test_a_token(serve: Serve) -> None:
    server = serve('authorization {token: "right"}')
    await send(output(server, token="right"))
    with pytest.raises(Undelivered, match="Authorization Violation"):
        await send(output(server, token="wrong"))


async def test_credentials_of_an_operator(serve: Serve, tmp_path: Path) -> None:
    nkeys = pytest.importorskip("nkeys", reason="the package nkeys is missing")
    operator, account, user = (
        Key(nkeys, kind) for kind in (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_USER)
    )
    limits = {"subs": -1, "data": -1, "payload": -1}
    everywhere = {"conn": -1, "leaf": -1, "imports": -1, "exports": -1, "wildcards": True}
    owner = operator.signs("O", operator, {"type": "operator", "version": 2})
    home = operator.signs("A", account, {"type": "account", "version": 2, "limits": limits | everywhere})
    person = account.signs("U", user, {"type": "user", "version": 2, "pub": {}, "sub": {}, **limits})
    server = serve(f"operator: {owner}\nresolver: MEMORY\nresolver_preload: {{{account.public}: {home}}}")
    file = tmp_path / "lanner.creds"
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{person}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    await send(output(server, credentials_file=str(file)))
    with pytest.raises(Undelivered, match="Authorization Violation"):
        await send(output(server))
    with pytest.raises(OutputError, match=r"none.creds: credentials of NATS cannot be read: No such file"):
        await send(output(server, credentials_file=str(tmp_path / "none.creds")))


class Key:
    """A key of an operator, an account or a user."""

    def __init__(self, nkeys: Any, kind: int) -> None:
        self.seed: bytes = nkeys.encode_seed(os.urandom(32), kind)
        self._pair = nkeys.from_seed(bytearray(self.seed))
        self.public: str = self._pair.public_key.decode()

    def signs(self, name: str, of: "Key", claims: dict[str, Any]) -> str:
        """Return a JWT, as the operator's tool makes it."""
        body = {"iat": int(time.time()), "iss": self.public, "name": name, "sub": of.public, "nats": claims}
        digest = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
        parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, {"jti": digest, **body}]
        signed = ".".join(map(_base64, (json.dumps(part).encode() for part in parts)))
        return f"{signed}.{_base64(self._pair.sign(signed.encode()))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def test_tls_on_both_sides(serve: Serve, tmp_path: Path) -> None:
    authority = certs.Authority()
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    cert, key = certs.write(tmp_path, authority.issue("server", ip="127.0.0.1"))
    own, own_key = certs.write(tmp_path, authority.issue("lanner"), "client")
    server = serve(f'tls {{cert_file: "{cert}", key_file: "{key}", ca_file: "{ca}", verify: true}}')
    url = (f"tls://127.0.0.1:{server.port}",)
    mine = TlsClientOptions(ca_file=str(ca), cert_file=own, key_file=own_key)
    await send(output(server, servers=url, tls=mine))
    await send(output(server, tls=mine))
    with pytest.raises(Undelivered, match="certificate verify failed"):
        await send(output(server, servers=url))
    with pytest.raises(Undelivered):
        await send(output(server, servers=url, tls=TlsClientOptions(ca_file=str(ca))))


async def test_nothing_is_told_to_a_server_without_tls_when_tls_is_wanted(serve: Serve) -> None:
    server = serve()
    client = await nats.connect(f"nats://127.0.0.1:{server.port}")
    inbox = await client.subscribe(">")
    await client.flush()
    with pytest.raises(Undelivered, match="secure connection not available"):
        await send(output(server, servers=(f"tls://127.0.0.1:{server.port}",)))
    with pytest.raises(nats.errors.TimeoutError):
        await inbox.next_msg(0.2)
    await client.close()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"servers": ()}, "servers: at least one"),
        ({"servers": ("localhost:4222",)}, "servers: wanted are URLs"),
        ({"servers": ("nats://u:p@h",)}, "servers: a URL is shown in logs"),
        ({"subject": "a b"}, "subject: 'a b' is none"),
        ({"subject": "a..b"}, "subject: 'a..b' is none"),
        ({"subject": "a.%alert.rul"}, "subject: source alert has no field 'alert.rul'"),
    ],
)
def test_a_mistake_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        NatsOutput("n", NatsOptions(**{"servers": ("nats://h",), **options}))
