"""The next prompt holds exactly the turns of the log, whatever was lost beside the log."""

import asyncio
import os

import pytest
from redis.asyncio import Redis

from tests.end_to_end.reader import Reader
from tests.end_to_end.test_whole_path import urls
from tests.scripted_model.control import ModelControl
from tests.stack import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

REDIS_AWAY_S = float(os.environ.get("REDIS_AWAY_S", "8"))
WHOLE_TURNS = 40
PERSISTERS = ("persister-1", "persister-2")


async def test_redis_flushed_while_the_tables_are_behind(
    stack: RunningStack, model: ModelControl
) -> None:
    async with Reader(urls(stack)[0], "behind") as reader:
        await _ask(reader, model, 0)
        for name in PERSISTERS:
            stack.hold(name)
        try:
            for number in range(1, 4):
                await _ask(reader, model, number)
            async with Redis.from_url(stack.file.redis) as redis:
                await redis.flushall()
            await _ask(reader, model, 4)
        finally:
            for name in PERSISTERS:
                stack.let_go(name)
        await _ask(reader, model, 5)


async def test_redis_away_and_back_with_what_it_had(
    stack: RunningStack, model: ModelControl
) -> None:
    """Chat goes on meanwhile; the old value that comes back is not believed."""
    async with Reader(urls(stack)[0], "away") as reader:
        await _ask(reader, model, 0)
        stack.hold("redis")
        try:
            loop = asyncio.get_running_loop()
            end, number = loop.time() + REDIS_AWAY_S, 1
            while loop.time() < end:
                await _ask(reader, model, number)
                number += 1
        finally:
            stack.let_go("redis")
        assert number > 1
        await _ask(reader, model, number)
        await _ask(reader, model, number + 1)


async def _ask(reader: Reader, model: ModelControl, number: int) -> None:
    """One more turn; its prompt is compared with what the log has shown so far."""
    key = f"{reader.session_id}.{number}"
    before = list(reader.transcript.messages.values())
    assert len(before) == number
    await reader.ask(f"go [[key={key} tokens=3]]", f"m{number}")
    assert (await reader.ended(f"m{number}")).state == "complete"
    [call] = model.calls(key)
    said = [turn for turn in call["messages"] if turn["role"] != "system"]
    turns = [f"go [[key={reader.session_id}.{each} tokens=3]]" for each in range(number + 1)]
    for each, message in enumerate(before):
        turns.insert(2 * each + 1, message.text)
    # A long outage makes more turns than a prompt has room for: then they are the newest ones.
    assert len(said) == len(turns) or len(said) > WHOLE_TURNS
    assert [turn["content"] for turn in said] == turns[-len(said) :]
