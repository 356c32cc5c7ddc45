"""One gateway for the tests that only talk to it; those that hurt it start their own."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from uuid import uuid4

import pytest

from tests.integration.gateway.process import PATIENT, Gateway, running_gateway
from tests.integration.gateway.writer import Writer, open_writer
from tests.stack import RunningStack


@pytest.fixture(scope="package")
def gateway(servers: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway shared by all tests of the folder."""
    with running_gateway(servers, tmp_path_factory.mktemp("gateway") / "log", **PATIENT) as running:
        yield running


@pytest.fixture(scope="package")
def second_gateway(
    servers: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Another one on the same log."""
    with running_gateway(servers, tmp_path_factory.mktemp("gateway") / "log", **PATIENT) as running:
        yield running


@pytest.fixture
async def writer(servers: RunningStack) -> AsyncIterator[Writer]:
    """Writes answers."""
    async with open_writer(servers.file.kafka, servers.epoch) as open_one:
        yield open_one


_numbers = count(1)


@pytest.fixture
def session_id() -> str:
    """A session that nobody else uses."""
    return f"s{next(_numbers)}-{uuid4().hex[:8]}"
