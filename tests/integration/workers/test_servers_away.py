"""Chat goes on while Redis or Postgres stands still.

The servers are this module's own. Nobody persists here, so a history that is built anew is folded
from the log's start: beside other tests' thousands of records that would be over its bounds.
"""

import json
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from schemas import redis_keys
from tests.integration.workers.conversation import Conversation, assert_whole
from tests.integration.workers.process import Workers
from tests.scripted_model.server import ScriptedModel
from tests.stack import RunningStack, running_stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("away"), servers_only=True) as stack:
        yield stack


async def test_chat_goes_on_without_redis_and_nothing_is_forgotten(
    servers: RunningStack, model: ScriptedModel, talk: Conversation, workers: Workers
) -> None:
    await workers.start()
    session = f"redis-{talk.run}"
    first = await talk.ask(session, "tokens=5")
    await talk.ended(first)
    await talk.until_committed()
    servers.hold("redis")
    try:
        second = await talk.ask(session, "tokens=5")
        assert_whole(await talk.ended(second), 5)
        third = await talk.ask(session, "tokens=5")
        assert_whole(await talk.ended(third), 5)
        # Its own memory of what Redis has not: the log.
        [call] = model.ledger.of(third)
        assert [m["content"].split()[0] for m in call.messages if m["role"] == "user"] == [
            f"[[key={each}" for each in (first, second, third)
        ]
        assert not await talk.all_committed()
    finally:
        servers.let_go("redis")
    await talk.until_committed()
    async with Redis.from_url(servers.file.redis) as redis:
        stored = json.loads(await redis.get(redis_keys.session(session)) or "null")
    assert stored, "acknowledged, and not stored"
    assert [turn["message_id"] for turn in stored["history"][::2]] == [first, second, third]


async def test_chat_goes_on_without_postgres(
    servers: RunningStack, model: ScriptedModel, talk: Conversation, workers: Workers
) -> None:
    await workers.start()
    for number in range(20):
        session = f"postgres-{number}-{talk.run}"
        first = await talk.ended(await talk.ask(session, "tokens=5"))
        if first.history == "full":
            break  # a busy machine may miss the time that a first read of Postgres is given
    assert first.history == "full"
    await talk.until_committed()
    servers.hold("postgres")
    try:
        second = await talk.ask(session, "tokens=5")
        assert (await talk.ended(second)).history == "full"
        assert model.ledger.of(second)[0].messages[1]["content"] == first.text
        # A new session has no history that could be missing, but nobody can know that.
        new = await talk.ask(f"new-{session}", "tokens=5")
        assert (await talk.ended(new)).history == "partial"
        await talk.until_committed()
    finally:
        servers.let_go("postgres")
