"""One driver for all live tests of a worker: attaching is quick, compiling is not."""

from collections.abc import Iterator

import pytest

from tests.ingest.syscalls.ebpf.live import Watch


@pytest.fixture(scope="session")
def watch() -> Iterator[Watch]:
    found = Watch()
    yield found
    found.driver.close()
