"""What an errand asks of the world and tells the intake.

Seen: a worker that had just been started again took over the shards of a killed one and knew
nothing of the broker's time, for all records in these shards were old. It counted their silence
from then on, and everybody waited 11 s instead of 6.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from schemas.log.log_reader import LogUnavailable
from tests.worker_defaults import bounds
from workers.errands import Errands
from workers.intake.actions import Follow
from workers.intake.intake import Intake

NEWEST_MS = 5_000_000


class Reader:
    """A log whose newest record is told by `newest`."""

    def __init__(self, newest: Callable[[], Awaitable[int | None]]) -> None:
        self.followed: list[int] = []
        self.looks = 0
        self._newest = newest

    async def offset_at(self, shard: int, from_ms: int) -> int:
        return 7

    def follow(self, shard: int, position: int) -> None:
        self.followed.append(shard)

    async def newest_ms(self) -> int | None:
        self.looks += 1
        return await self._newest()


def errands(reader: Reader) -> tuple[Errands, Intake]:
    nobody = cast(Any, None)
    intake = Intake(epoch=1, bounds=bounds(), new_id=lambda: "a")
    intake.assigned([0, 1], time.monotonic())
    intake.take()
    made = Errands(
        intake,
        sender=nobody,
        dead_letters=nobody,
        sessions=nobody,
        reader=cast(Any, reader),
        first_record_in=nobody,
        done=lambda: None,
    )
    return made, intake


async def test_who_takes_over_shards_asks_the_newest_records_for_the_brokers_time_once() -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def newest() -> int:
        asked.set()
        await may_answer.wait()
        return NEWEST_MS

    reader = Reader(newest)
    made, intake = errands(reader)
    assert intake.clock.own_time_s(NEWEST_MS) is None
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(made.follow(Follow(0, 0)))
        await asked.wait()
        await made.follow(Follow(1, 0))  # while the first look goes on
        may_answer.set()
        await first
    assert (reader.followed, reader.looks) == ([0, 1], 1)
    known_s = intake.clock.own_time_s(NEWEST_MS)
    assert known_s is not None
    assert known_s <= time.monotonic()
    await made.follow(Follow(0, 0))
    assert reader.looks == 2


@pytest.mark.parametrize("answer", [None, LogUnavailable("away")])
async def test_a_log_that_tells_nothing_stops_nothing(answer: Exception | None) -> None:
    async def newest() -> None:
        if answer is not None:
            raise answer

    reader = Reader(newest)
    made, intake = errands(reader)
    await made.follow(Follow(0, 0))
    assert reader.followed == [0]
    assert intake.clock.own_time_s(NEWEST_MS) is None
