"""Records in a real Kafka; KAFKA_HOME names an unpacked distribution, whose ``libs`` are run with Java."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lanner.outputs.base import Undelivered
from lanner.outputs.http import TlsClientOptions
from lanner.outputs.kafka import KafkaOptions, KafkaOutput
from tests.ingest.k8saudit import certs
from tests.lanner.outputs.receiver import alert
from tests.lanner.outputs.servers import Server, binary, free_port

aiokafka = pytest.importorskip("aiokafka", reason="the package aiokafka is missing")

HOME = os.environ.get("KAFKA_HOME", "")


@dataclass
class Broker:
    server: Server
    port: int
    tls: int
    sasl: int
    files: Path

    @property
    def ca(self) -> str:
        return str(self.files / "ca.pem")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if not Path(HOME, "libs").is_dir():
        pytest.skip("KAFKA_HOME does not name an unpacked distribution of Kafka 4")
    folder = tmp_path_factory.mktemp("kafka")
    java = [binary("java", "default-jre-headless"), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    java += ["-cp", f"{HOME}/libs/*"]
    plain, tls, sasl, controller = (free_port() for _ in range(4))
    config = folder / "server.properties"
    config.write_text(properties(folder, plain, tls, sasl, controller))
    form = [*java, "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(config)]
    form += ["--add-scram", "SCRAM-SHA-512=[name=lanner,password=right]"]
    subprocess.run(form, check=True, capture_output=True)
    made = Broker(Server([*java, "kafka.Kafka", str(config)], plain, folder), plain, tls, sasl, folder)
    made.server.start(60)
    yield made
    made.server.stop()


def properties(folder: Path, plain: int, tls: int, sasl: int, controller: int) -> str:
    authority = certs.Authority()
    (folder / "ca.pem").write_bytes(authority.pem)
    pair = authority.issue("broker", ip="127.0.0.1")
    (folder / "broker.pem").write_bytes(pair.key + pair.cert)
    certs.write(folder, authority.issue("lanner"), "client")
    listeners = f"PLAINTEXT://127.0.0.1:{plain},SSL://127.0.0.1:{tls},SASL_SSL://127.0.0.1:{sasl}"
    security = "org.apache.kafka.common.security"
    return f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
log.dirs={folder}/data
num.partitions=1
offsets.topic.replication.factor=1
message.max.bytes=100000
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.ssl.ssl.client.auth=required
listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={security}.plain.PlainLoginModule required user_lanner="right";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;
"""


def output(port: int, **options: Any) -> KafkaOutput:
    return KafkaOutput("k", KafkaOptions(**{"brokers": (f"127.0.0.1:{port}",), "timeout": 15.0, **options}))


async def send(made: KafkaOutput, *alerts: Any) -> None:
    await made.start()
    try:
        await made.deliver(alerts or [alert()])
    finally:
        await made.close()


async def records(broker: Broker, topic: str, number: int) -> list[Any]:
    """Return so many records, and those that come within a moment after them."""
    found: list[Any] = []
    consumer = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=f"127.0.0.1:{broker.port}", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            while len(found) < number:
                found += [one for many in (await consumer.getmany(timeout_ms=500)).values() for one in many]
        found += [one for many in (await consumer.getmany(timeout_ms=300)).values() for one in many]
    finally:
        await consumer.stop()
    return found


def uids(found: list[Any]) -> list[str]:
    return [dict(one.headers)["uid"].decode() for one in found]


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_records_have_a_key_and_come_in_order(broker: Broker, compression: str) -> None:
    topic = f"order-{compression}"
    made = output(broker.port, topic=topic, key="%alert.field[ct.user]", compression=compression)
    await send(made, *(alert(uid=str(n)) for n in range(300)))
    found = await records(broker, topic, 300)
    assert uids(found) == [str(n) for n in range(300)]
    assert json.loads(found[0].value)["rule"] == "Trail stopped"
    assert found[0].key == b"alice"


async def test_an_alert_larger_than_the_broker_takes_is_refused_and_the_others_are_not(broker: Broker) -> None:
    made = output(broker.port, topic="large")
    with pytest.raises(Undelivered, match="MessageSizeTooLarge") as failure:
        await made.deliver([alert(uid="1"), alert(uid="large", message="x" * 200_000), alert(uid="3")])
    assert (failure.value.taken, failure.value.refused) == (1, True)
    await made.deliver([alert(uid="3")])
    await made.close()
    assert uids(await records(broker, "large", 2)) == ["1", "3"]


async def test_alerts_go_on_when_the_broker_is_back_and_none_comes_twice(broker: Broker) -> None:
    made = output(broker.port, topic="away", timeout=3.0)
    await made.deliver([alert(uid="1")])
    await asyncio.to_thread(broker.server.stop)
    tasks = len(asyncio.all_tasks())
    for _ in range(2):
        with pytest.raises(Undelivered, match=f"Kafka at 127.0.0.1:{broker.port}: ") as failure:
            await made.deliver([alert(uid="2")])
        assert (failure.value.taken, failure.value.refused) == (0, False)
    assert len(asyncio.all_tasks()) <= tasks
    await asyncio.to_thread(broker.server.start, 60)
    for _ in range(20):
        try:
            await made.deliver([alert(uid="2")])
            break
        except Undelivered:
            await asyncio.sleep(0.5)
    await made.close()
    assert uids(await records(broker, "away", 2)) == ["1", "2"]


async def test_certificates_on_both_sides(broker: Broker) -> None:
    own = {"cert_file": str(broker.files / "client.crt"), "key_file": str(broker.files / "client.key")}
    await send(output(broker.tls, topic="tls", encryption="tls", tls=TlsClientOptions(ca_file=broker.ca, **own)))
    with pytest.raises(Undelivered, match="Unable to bootstrap"):
        await send(output(broker.tls, topic="tls", encryption="tls", tls=TlsClientOptions(**own)))
    with pytest.raises(Undelivered, match="Unable to bootstrap"):
        await send(output(broker.tls, topic="tls", encryption="tls", tls=TlsClientOptions(ca_file=broker.ca)))


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-512"])
async def test_passwords(broker: Broker, mechanism: str) -> None:
    given = {"encryption": "tls", "tls": TlsClientOptions(ca_file=broker.ca), "sasl": mechanism, "username": "lanner"}
    await send(output(broker.sasl, topic=mechanism, password="right", **given))
    with pytest.raises(Undelivered, match="Unable to bootstrap") as failure:
        await send(output(broker.sasl, topic=mechanism, password="wrong-one", **given))
    assert not failure.value.refused
    assert "wrong-one" not in str(failure.value)
    assert uids(await records(broker, mechanism, 1)) == ["00ff"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"brokers": ()}, "brokers: wanted is a list of HOST:PORT"),
        ({"brokers": ("kafka://h:1",)}, "brokers: wanted is a list of HOST:PORT"),
        ({"sasl": "plain"}, "sasl: a mechanism and a username"),
        ({"username": "u"}, "sasl: a mechanism and a username"),
        ({"key": "%alert.rul"}, "key: source alert has no field 'alert.rul'"),
    ],
)
def test_a_mistake_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        KafkaOutput("k", KafkaOptions(**{"brokers": ("h:1",), **options}))
