"""Answers that no log can end are looked for, and nothing is held up by the looking."""

from collections.abc import Iterable
from typing import Any, cast

from persister.batch import Partition, Pending
from persister.lost import LOOK_AGAIN_S, LOOK_AT_BUSY_S, LOOK_EVERY_S, Lost
from persister.store import Store
from schemas.log.log_reader import LogUnavailable
from schemas.topics import SESSION_LOG, USER_MESSAGES

SHARDS = 3


class Group:
    """A log of which some shards have no leader."""

    def __init__(self, *, leaderless: Iterable[int] = (), away: bool = False) -> None:
        self.leaderless = set(leaderless)
        self.away = away
        self.asked: list[set[int]] = []

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        wanted = list(partitions)
        self.asked.append({each.shard for each in wanted})
        if self.away:
            raise LogUnavailable("no answer")
        return {each: 10 for each in wanted if each.shard not in self.leaderless}

    async def starts(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return {each: 0 for each in partitions if each.shard not in self.leaderless}


class Rows:
    """Postgres, with nothing open."""

    def __init__(self) -> None:
        self.looked_at: list[int] = []

    async def open_before(self, epoch: int, shard: int, start: int, after: object) -> list[Any]:
        self.looked_at.append(shard)
        return []


class Looking:
    def __init__(self, group: Group) -> None:
        self.now_s = 100.0
        self.rows = Rows()
        self.group = group
        self.pending: dict[Partition, Pending[Any]] = {
            Partition(topic, shard): Pending(10)
            for topic in (USER_MESSAGES, SESSION_LOG)
            for shard in range(SHARDS)
        }
        self.lost = Lost(cast("Store", self.rows), 1, SHARDS, lambda: self.now_s)

    async def step(self, after_s: float = 0.5) -> None:
        self.now_s += after_s
        assert not await self.lost.end_some(self.group, self.pending)


async def test_all_quiet_shards_are_asked_about_at_once_and_then_left_alone() -> None:
    looking = Looking(Group())
    for _ in range(5):
        await looking.step()
    assert looking.group.asked == [{0, 1, 2}]
    assert sorted(looking.rows.looked_at) == [0, 1, 2]
    await looking.step(LOOK_EVERY_S)
    await looking.step()
    assert len(looking.group.asked) == 2


async def test_a_shard_without_a_leader_holds_up_nobody_and_waits_longer_each_time() -> None:
    # It was due again at once, the question about it took 5 s, and nothing was ever polled.
    looking = Looking(Group(leaderless=[1]))
    for _ in range(600):
        await looking.step(1.0)
    assert {0, 2} <= set(looking.rows.looked_at)
    assert 1 not in looking.rows.looked_at
    assert sum(1 in asked for asked in looking.group.asked) < 20


async def test_a_broker_that_does_not_answer_is_asked_less_and_less() -> None:
    looking = Looking(Group(away=True))
    for _ in range(600):
        await looking.step(1.0)
    assert 5 < len(looking.group.asked) < 20
    looking.group.away = False
    for _ in range(int(LOOK_EVERY_S) + 2):
        await looking.step(1.0)
    assert sorted(looking.rows.looked_at) == [0, 1, 2]


async def test_a_busy_shard_is_not_asked_about_but_not_for_ever() -> None:
    looking = Looking(Group())
    busy = looking.pending[Partition(SESSION_LOG, 0)]
    steps = 0
    while not any(0 in asked for asked in looking.group.asked):
        busy.position += 1
        steps += 1
        await looking.step(1.0)
        assert steps < 2 * LOOK_AT_BUSY_S
    assert steps > LOOK_AT_BUSY_S - LOOK_AGAIN_S
