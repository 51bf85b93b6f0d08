"""AWS for the tests of the program: a moto server over HTTP and clients to it."""

import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.ingest.cloudtrail.support import REGION, Aws
from tests.lanner.support import environment


@contextmanager
def aws_server() -> Iterator[Aws]:
    """Serve an empty AWS until the context ends."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    aws = Aws("http://{}:{}".format(*server.get_host_and_port()))
    urllib.request.urlopen(urllib.request.Request(f"{aws.url}/moto-api/reset", method="POST")).close()
    try:
        yield aws
    finally:
        aws.close()
        server.stop()


def aws_environment(aws: Aws) -> dict[str, str]:
    """Return an environment in which every client finds the server."""
    return environment(
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        AWS_DEFAULT_REGION=REGION,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_ENDPOINT_URL=aws.url,
        HOME=os.devnull,
    )
