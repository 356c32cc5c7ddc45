"""Servers of the folder's own: a worker would answer whatever other tests have left unanswered."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.workers.conversation import Conversation
from tests.integration.workers.process import Workers
from tests.scripted_model.control import ModelControl
from tests.stack import RunningStack, running_stack


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("workers"), servers_only=True) as stack:
        yield stack


@pytest.fixture
async def talk(servers: RunningStack) -> AsyncIterator[Conversation]:
    """Asks, and reads the answers."""
    async with Conversation(servers).open() as running:
        yield running


@pytest.fixture
async def workers(
    servers: RunningStack, model: ModelControl, tmp_path: Path
) -> AsyncIterator[Workers]:
    """Workers are started by the tests; calls of the model are counted anew."""
    model.reset()
    async with Workers(servers, model.url, tmp_path) as running:
        yield running
