"""The history on a real Valkey: the same rule as in Python, and nothing waits for ever."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from ulid import ULID

from schemas import redis_keys
from schemas.process.redis_client import RedisClient
from tests.stack import RunningStack
from tests.turn_cases import CASES, TURNS, TURNS_AGAIN, Case, pair
from workers.history.prompt import Turn
from workers.history.redis_history import CONNECTIONS_MAX, History, HistoryUnavailable, connect
from workers.history.turns import merged

MUCH_TOO_LONG_S = 15.0
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
async def redis(servers: RunningStack) -> AsyncIterator[Redis]:
    client = connect(servers.file.redis)
    yield client.redis
    await client.aclose()


@pytest.fixture
def session() -> str:
    return str(ULID())


def history(redis: Redis, *, budget_tokens: int = 3000, ttl_s: int = 86_400) -> History:
    client = RedisClient(redis, CONNECTIONS_MAX)
    return History(client, now=lambda: NOW, budget_tokens=budget_tokens, ttl_s=ttl_s)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.story)
async def test_redis_merges_as_the_rule_says(redis: Redis, session: str, case: Case) -> None:
    kept = history(redis, budget_tokens=case.budget_tokens)
    # Stored without trimming, so that the case's own merge is the one that is tried.
    await history(redis, budget_tokens=10**9).store_whole(session, case.stored)
    assert await kept.merge(session, case.new) == "stored"
    assert await kept.load(session) == case.kept


async def test_any_turns_are_merged_as_the_rule_says(redis: Redis) -> None:
    loop = asyncio.get_running_loop()

    async def both(stored: list[Turn], new: list[Turn], budget: int) -> None:
        session = str(ULID())
        kept = history(redis, budget_tokens=budget)
        await kept.store_whole(session, stored)
        await kept.merge(session, new)
        assert await kept.load(session) == merged(merged([], stored, budget), new, budget)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(stored=TURNS | TURNS_AGAIN, new=TURNS | TURNS_AGAIN, budget=st.integers(1, 60))
    def examples(stored: list[Turn], new: list[Turn], budget: int) -> None:
        asyncio.run_coroutine_threadsafe(both(stored, new, budget), loop).result(10)

    await asyncio.to_thread(examples)


async def value_of(redis: Redis, session: str) -> object:
    value = await redis.get(redis_keys.session(session))
    assert value is not None
    return json.loads(value)


async def test_the_value_is_what_people_expect_of_it(redis: Redis, session: str) -> None:
    await history(redis).store_whole(session, pair(1))
    assert await value_of(redis, session) == {
        "history": [
            {"role": "user", "content": "ask", "message_id": "m1", "offset": 10, "epoch": 1},
            {"role": "assistant", "content": "said", "message_id": "m1", "offset": 10, "epoch": 1},
        ],
        "last_updated": "2026-01-02T03:04:05.000+00:00",
    }


async def test_an_empty_history_is_a_list(redis: Redis, session: str) -> None:
    await history(redis).store_whole(session, [])
    assert await value_of(redis, session) == {
        "history": [],
        "last_updated": "2026-01-02T03:04:05.000+00:00",
    }
    assert await history(redis).load(session) == []


async def test_flush_then_append(redis: Redis, session: str) -> None:
    # The next write must not create the key from one turn: the next prompt would believe it.
    store = history(redis)
    await store.store_whole(session, [*pair(1), *pair(2)])
    await redis.delete(redis_keys.session(session))
    assert await store.merge(session, pair(3)) == "missing"
    assert await store.load(session) is None
    await store.store_whole(session, [*pair(1), *pair(2), *pair(3)])
    assert await store.load(session) == [*pair(1), *pair(2), *pair(3)]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"history": 7}',
        '{"history": [7]}',
        '{"history": [{"role": "user", "content": 7, "message_id": "m1", "offset": 1}]}',
        '{"history": [{"role": "user", "content": "x", "message_id": "m1"}]}',
        '{"history": ' + "[" * 2000 + "]" * 2000 + "}",
    ],
)
async def test_a_value_that_cannot_be_read_is_as_good_as_missing(
    redis: Redis, session: str, value: str
) -> None:
    store = history(redis)
    await redis.set(redis_keys.session(session), value)
    assert await store.load(session) is None
    assert await store.merge(session, pair(1)) == "missing"
    await store.store_whole(session, pair(1))
    assert await store.load(session) == pair(1)


async def test_use_gives_another_day_to_live(redis: Redis, session: str) -> None:
    key = redis_keys.session(session)
    await history(redis, ttl_s=100).store_whole(session, pair(1))
    assert 90 < await redis.ttl(key) <= 100
    await history(redis, ttl_s=500).load(session)
    assert 490 < await redis.ttl(key) <= 500
    await history(redis, ttl_s=900).merge(session, pair(2))
    assert 890 < await redis.ttl(key) <= 900


async def test_forget(redis: Redis, session: str) -> None:
    store = history(redis)
    await store.store_whole(session, pair(1))
    await store.forget(session)
    assert await store.load(session) is None


async def test_many_at_once(redis: Redis, session: str) -> None:
    store = history(redis)
    await store.store_whole(session, [])
    async with asyncio.TaskGroup() as group:
        for number in range(1, 101):
            group.create_task(store.merge(session, pair(number)))
    assert await store.load(session) == [turn for n in range(1, 101) for turn in pair(n)]


async def test_the_script_is_loaded_again_after_redis_forgot_it(redis: Redis, session: str) -> None:
    store = history(redis)
    await store.store_whole(session, pair(1))
    await redis.script_flush()
    assert await store.merge(session, pair(2)) == "stored"


async def test_nobody_listens() -> None:
    client = connect("redis://127.0.0.1:1/0")
    store = history(client.redis)
    for call in (
        store.load("s"),
        store.merge("s", pair(1)),
        store.store_whole("s", []),
        store.forget("s"),
    ):
        with pytest.raises(HistoryUnavailable):
            await call
    await client.aclose()


async def test_a_redis_that_stands_still_is_not_waited_for(
    servers: RunningStack, redis: Redis, session: str
) -> None:
    store = history(redis)
    await store.store_whole(session, pair(1))
    servers.hold("redis")
    try:
        took_s = []
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(HistoryUnavailable):
                await store.merge(session, pair(2))
            took_s.append(time.monotonic() - began)
        assert min(took_s) < 1.5
        assert max(took_s) < MUCH_TOO_LONG_S
    finally:
        servers.let_go("redis")
    # Its outcome was unknown; done again, it is there once. No answer is mistaken for another.
    async with asyncio.timeout(60):
        while True:
            with suppress(HistoryUnavailable):
                assert await store.merge(session, pair(2)) == "stored"
                break
    assert await store.load(session) == [*pair(1), *pair(2)]


async def test_turns_of_before_a_session_was_forgotten_never_come_back(
    redis: Redis, session: str
) -> None:
    kept = history(redis)
    before, after = pair(1, place=5, epoch=0), pair(2, place=9, epoch=0)
    await kept.store_whole(session, before)
    await kept.forget_session(session, 0, 7)
    assert await kept.load(session) is None
    # A process that was stalled, with a turn or with the whole conversation in its hands.
    assert await kept.merge(session, before) == "missing"
    await kept.store_whole(session, [*before, *after])
    assert await kept.merge(session, before) == "stored"
    assert await kept.load(session) == after
    # Read again, the event takes nothing of what was said since.
    await kept.forget_session(session, 0, 7)
    assert await kept.load(session) == after
    await kept.forget_session(session, 0, 12)
    assert await kept.load(session) is None
