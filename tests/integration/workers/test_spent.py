"""What of a user's messages has ended, on a real Valkey: beside the limits that gateways keep."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from redis.asyncio import Redis
from ulid import ULID

from schemas import redis_keys
from schemas.events import UserMessage
from schemas.load import Load, decode
from schemas.process.redis_client import RedisClient
from tests.integration.workers.conversation import AT, SHARDS, Conversation
from tests.integration.workers.process import Workers
from tests.stack import RunningStack
from tests.waiting import POLL_S, WITHIN_S
from workers.history.redis_history import connect
from workers.history.spent import Spent
from workers.intake.actions import MessageKey, NoteEnd


@pytest.fixture
async def client(servers: RunningStack) -> AsyncIterator[RedisClient]:
    made = connect(servers.file.redis)
    yield made
    await made.aclose()


@pytest.fixture
def redis(client: RedisClient) -> Redis:
    return cast(Redis, client.redis)


async def test_what_has_ended_is_taken_out_and_its_tokens_are_counted_once(
    client: RedisClient, redis: Redis
) -> None:
    user, spent = f"ada}}{ULID()}", Spent(client, lambda: None)
    key = redis_keys.limits("user", user)
    for number in (1, 2):
        field = "open:" + redis_keys.open_message("s", f"m{number}")
        await redis.hset(key, field, "99999999999999")
    for _ in range(3):
        await spent.note(NoteEnd(user, MessageKey("s", "m1"), 120))
    await spent.note(NoteEnd(user, MessageKey("s", "m3"), 30))
    await spent.note(NoteEnd(user, MessageKey("s", "m4"), 0))
    held = await redis.hgetall(key)
    assert held[b"spent"] == b"150"
    assert [field for field in held if b"open:" in cast(bytes, field)] == [b"open:s m2"]
    await redis.hset(key, "day", "1")  # of long ago
    await spent.note(NoteEnd(user, MessageKey("s", "m5"), 7))
    assert await redis.hget(key, "spent") == b"7"


async def test_a_worker_notes_what_it_acknowledges_and_tells_how_much_it_has_to_do(
    redis: Redis, workers: Workers, talk: Conversation
) -> None:
    await workers.start(TALKLOG_MAX_RUNNING="3")
    user, session = f"ada-{ULID()}", f"s-{ULID()}"
    key = redis_keys.limits("user", user)
    open_one = "open:" + redis_keys.open_message(session, "m1")
    await redis.hset(key, open_one, "99999999999999")
    asked = UserMessage(
        session_id=session,
        message_id="m1",
        created_at=AT,
        content="[[key=m1 tokens=20]]",
        user=user,
    )
    talk.asked["m1"] = session
    await talk.publish(asked)
    ended = await talk.ended("m1")
    assert ended.usage is not None
    spent = ended.usage.prompt_tokens + ended.usage.completion_tokens

    async def noted() -> bool:
        held = await redis.hgetall(key)
        return held.get(b"spent") == b"%d" % spent and open_one.encode() not in held

    async def told() -> list[Load]:
        loads = [
            decode(cast(bytes, value))
            for value in (await redis.hgetall(redis_keys.load())).values()
        ]
        return [load for load in loads if load is not None and load.answer_s is not None]

    async with asyncio.timeout(WITHIN_S):
        while not (await noted() and await told()):  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(POLL_S)
    (load,) = await told()
    assert (load.room, len(load.shards)) == (3, SHARDS)
