"""Terraform with a stand-in for its provider, and moto as a stand-in for AWS."""

import importlib.util
import json
import logging
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:  # needs grpcio
    from tests.infra.provider import Provider
    from tests.infra.terraform import State, Terraform

_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_NETWORK = {"image": "example/lanner:0.1.0", "vpc_id": "vpc-1", "subnet_ids": ["subnet-1"]}


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws_url(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty AWS, which the environment names too."""
    for name, value in {**_CREDENTIALS, "AWS_ENDPOINT_URL": moto_url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST")).close()
    return moto_url


@pytest.fixture(scope="session")
def provider(moto_url: str) -> "Iterator[Provider]":
    """The stand-in for the provider; queues get moto's URLs."""
    if not shutil.which("terraform"):
        pytest.skip("terraform is not installed")
    if not importlib.util.find_spec("grpc"):
        pytest.skip("grpcio, which Terraform's plugins speak through, is not installed")
    from tests.infra.provider import Provider

    provider = Provider(moto_url)
    yield provider
    provider.close()


@pytest.fixture(scope="session")
def module(provider: "Provider", tmp_path_factory: pytest.TempPathFactory) -> "Terraform":
    """The module, initialised in a folder of its own."""
    from tests.infra.terraform import prepare

    return prepare(tmp_path_factory.mktemp("terraform") / "module", provider)


@pytest.fixture(scope="session")
def apply(provider: "Provider", tmp_path_factory: pytest.TempPathFactory) -> "Callable[..., State]":
    """Applies the module with variables, once for the same ones: Terraform makes the same of them again."""
    from tests.infra.terraform import prepare

    states: dict[str, State] = {}

    def apply(**variables: Any) -> "State":
        key = json.dumps(variables, sort_keys=True)
        if key not in states:
            module = prepare(tmp_path_factory.mktemp("terraform") / "module", provider)
            states[key] = module.apply(**{**_NETWORK, **variables})
        return states[key]

    return apply
