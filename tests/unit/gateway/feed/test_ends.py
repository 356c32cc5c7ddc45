"""One shard without a leader holds up its own joiners, and nobody else's.

Seen: one request asked for all waiting shards; with one partition without a leader 532 of 536 joins
to the seven healthy shards failed, every gateway was unready, and none could start.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from gateway.feed import tail as module
from gateway.feed import unneeded
from gateway.feed.ends import Ends, each_by_itself
from gateway.feed.followers import Followers
from gateway.feed.tail import Tail
from schemas.log.log_reader import LogUnavailable
from schemas.shard_log import Record, ShardLog

SHARDS = range(8)
DEAD = 3


class Broker:
    """Answers for every shard but the dead ones: a request that names one hangs, then fails."""

    def __init__(self, *dead: int) -> None:
        self.dead = set(dead)
        self.asked: list[list[int]] = []
        self.hangs_until = asyncio.Event()

    async def end_offsets(self, shards: Iterable[int]) -> dict[int, int]:
        asked = list(shards)
        self.asked.append(asked)
        if self.dead & set(asked):
            await self.hangs_until.wait()
            raise LogUnavailable("no leader")
        return {shard: 10 + shard for shard in asked}


@contextlib.asynccontextmanager
async def serving(ends: Ends) -> AsyncIterator[None]:
    run = asyncio.create_task(ends.run())
    try:
        yield
    finally:
        run.cancel()
        await asyncio.wait({run})


async def test_joiners_of_healthy_shards_do_not_wait_for_the_dead_one() -> None:
    broker = Broker(DEAD)
    ends = Ends(broker.end_offsets)
    async with serving(ends):
        waiting = {shard: asyncio.create_task(ends.end(shard)) for shard in SHARDS}
        healthy = [task for shard, task in waiting.items() if shard != DEAD]
        assert await asyncio.wait_for(asyncio.gather(*healthy), 30) == [
            10 + shard for shard in SHARDS if shard != DEAD
        ]
        assert not waiting[DEAD].done()
        assert await asyncio.wait_for(ends.end(5), 30) == 15
        broker.hangs_until.set()
        with pytest.raises(LogUnavailable):
            await waiting[DEAD]


async def test_a_thousand_joiners_of_a_shard_are_few_requests() -> None:
    broker = Broker()
    ends = Ends(broker.end_offsets)
    async with serving(ends):
        assert set(await asyncio.gather(*(ends.end(1) for _ in range(1000)))) == {11}
    assert len(broker.asked) <= 2


async def test_of_many_shards_the_dead_ones_are_left_out() -> None:
    broker = Broker(DEAD)
    broker.hangs_until.set()
    found = await each_by_itself(broker.end_offsets, SHARDS, ())
    assert found == {shard: 10 + shard for shard in SHARDS if shard != DEAD}
    broker.asked.clear()
    assert await each_by_itself(broker.end_offsets, SHARDS, {DEAD}) == found
    assert len(broker.asked) == 2  # the dead one is asked beside the others


async def test_those_that_answer_are_told_before_the_others_have_failed() -> None:
    broker, told = Broker(DEAD), dict[int, int]()
    asking = asyncio.create_task(each_by_itself(broker.end_offsets, SHARDS, {DEAD}, told.update))
    while len(told) < 7:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    assert not asking.done()
    broker.hangs_until.set()
    await asking


class Reader:
    """What the tail needs of the log reader."""

    def __init__(self, broker: Broker) -> None:
        self.end_offsets = self.start_offsets = broker.end_offsets
        self.positions: dict[int, int] = {}
        self.follow = self.positions.__setitem__
        self.position = self.positions.get
        self.unfollow = self.positions.pop

    async def start(self) -> None:
        pass

    async def seen(self) -> dict[int, Any]:
        return {}


@pytest.fixture
def tail_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Broker], Tail]:
    def made(broker: Broker) -> Tail:
        monkeypatch.setattr(module, "LogReader", lambda *_, **__: Reader(broker))
        return Tail("nowhere:1", len(SHARDS), Followers(1), stall_limit_s=30.0, budget_bytes=2**28)

    return made


async def test_a_gateway_starts_and_is_ready_with_a_dead_shard_and_names_it(
    tail_of: Callable[[Broker], Tail],
) -> None:
    broker = Broker(DEAD)
    broker.hangs_until.set()
    tail = tail_of(broker)
    await tail.start()
    assert tail.not_ready() is None
    assert tail.failing() == "shards dead: 3"
    assert (tail.dead(), tail.is_dead(DEAD), tail.is_dead(4)) == (1, True, False)
    with pytest.raises(LogUnavailable):  # its joiners are told
        await tail._ends_and_follow([DEAD])
    assert (tail._starts_due(0), tail._starts_due(1)) == (set(SHARDS), {DEAD})
    broker.dead.clear()
    await tail._ask(tail._starts_due(1))
    assert tail.failing() is None
    assert (tail._starts_due(1), tail._starts_due(module.STARTS_EVERY)) == (set(), set(SHARDS))
    assert await tail._ends_and_follow([DEAD]) == {DEAD: 13}
    assert tail.shard_logs[DEAD].end == 13


async def test_a_shard_is_read_from_its_first_follower_until_nobody_has_been_there_for_a_while(
    tail_of: Callable[[Broker], Tail], monkeypatch: pytest.MonkeyPatch
) -> None:
    tail = tail_of(Broker())
    await tail.start()
    assert tail.reads() == 0
    assert tail.not_ready() is None
    tail._followers.shards = lambda: {2}  # type: ignore[method-assign]
    assert await tail._ends_and_follow([2]) == {2: 12}
    tail._append(2, [Record(12, 0, "s", b""), Record(13, 0, "s", b"")])
    assert await tail._ends_and_follow([2]) == {2: 12}  # nothing that is read is sought again
    tail._leave_unneeded()
    assert (tail.reads(), tail.shard_logs[2].start, tail.shard_logs[2].end) == (1, 12, 14)
    tail._followers.shards = lambda: set()  # type: ignore[method-assign]
    tail._leave_unneeded()
    assert (tail.reads(), tail.records_read) == (1, 2)
    monkeypatch.setattr(unneeded, "UNNEEDED_AFTER_S", 0.0)
    tail._leave_unneeded()
    assert (tail.reads(), tail.shard_logs[2].bytes_in_memory) == (0, 0)
    assert await tail._ends_and_follow([2]) == {2: 12}
    assert (tail.reads(), tail.shard_logs[2].end) == (1, 12)


async def test_a_gateway_of_which_no_shard_answers_does_not_start(
    tail_of: Callable[[Broker], Tail],
) -> None:
    broker = Broker(*SHARDS)
    broker.hangs_until.set()
    tail = tail_of(broker)
    with pytest.raises(LogUnavailable):
        await tail.start()
    assert tail.not_ready() == "not started"


async def test_a_gateway_is_red_when_none_works(
    tail_of: Callable[[Broker], Tail], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker()
    broker.hangs_until.set()
    tail = tail_of(broker)
    await tail.start()
    tail.shard_logs = [ShardLog(10 + shard) for shard in SHARDS]
    monkeypatch.setattr(module, "SILENCE_LIMIT_S", 0.0)
    broker.dead = set(SHARDS)
    await tail._ask(SHARDS)
    assert tail.not_ready() == "the broker does not answer"
    broker.dead = set(SHARDS) - {DEAD}
    monkeypatch.setattr(module, "SILENCE_LIMIT_S", 10.0)
    await tail._ask(SHARDS)
    assert tail.not_ready() is None


async def test_the_budget_is_shared_out_among_the_shards_again_and_again(
    tail_of: Callable[[Broker], Tail],
) -> None:
    tail = tail_of(Broker())
    await tail.start()
    assert {log.max_bytes for log in tail.shard_logs} == {32 * 2**20}
    tail._budget_bytes = 30 * 2**20
    tail._followers.shards = lambda: {2}  # type: ignore[method-assign]
    tail._share_out()
    assert [log.max_bytes // 2**20 for log in tail.shard_logs] == [2, 2, 16, 2, 2, 2, 2, 2]
