"""A scripted model and a reader of the log for every test; workers are started by the tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.workers.conversation import Conversation
from tests.integration.workers.process import Workers
from tests.scripted_model.server import ScriptedModel
from tests.stack import RunningStack, running_stack


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Servers of their own: a worker would answer whatever tests of others have left unanswered."""
    with running_stack(tmp_path_factory.mktemp("workers"), servers_only=True) as stack:
        yield stack


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    """A model in the test's own loop: its ledger is the truth."""
    async with ScriptedModel(default="tokens=20") as running:
        yield running


@pytest.fixture
async def talk(servers: RunningStack) -> AsyncIterator[Conversation]:
    """Asks, and reads the answers."""
    async with Conversation(servers).open() as running:
        yield running


@pytest.fixture
async def workers(
    servers: RunningStack, model: ScriptedModel, tmp_path: Path
) -> AsyncIterator[Workers]:
    async with Workers(servers, model.url, tmp_path) as running:
        yield running
