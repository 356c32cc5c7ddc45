"""A scripted model and a reader of the log for every test; workers are started by the tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.workers.conversation import Conversation
from tests.integration.workers.process import Workers
from tests.scripted_model.server import ScriptedModel
from tests.stack import RunningStack


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
    async with Workers(servers, model, tmp_path) as running:
        yield running
