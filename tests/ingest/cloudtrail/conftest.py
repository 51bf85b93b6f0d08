"""AWS over real HTTP: a moto server per session, its state cleared per test."""

import logging
import urllib.request
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from tests.ingest.cloudtrail.support import REGION, Aws


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def world(moto_url: str) -> Iterator[Aws]:
    made = Aws(moto_url)
    yield made
    made.close()


@pytest.fixture
def aws(world: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Return an empty AWS, with an environment that leads there."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": world.url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    urllib.request.urlopen(urllib.request.Request(f"{world.url}/moto-api/reset", method="POST")).close()
    return world
