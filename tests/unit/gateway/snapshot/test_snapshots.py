"""Folds on demand: who leaves early takes no connection along, and what fails is told.

Seen: after floods of joins that left, every join was told `history_unavailable` until a restart,
while /readyz said ready. A pooled read that is cancelled can lose its connection for good.
"""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.counters import Counters
from gateway.feed import slices
from gateway.feed.reach import reach
from gateway.snapshot import snapshots as module
from gateway.snapshot.snapshots import FoldUnavailable, Snapshots
from gateway.snapshot.stored import Stored, StoreUnavailable
from schemas.events import Prompt, Status, encode
from schemas.shard_log import Record, ShardLog
from schemas.transcript import Place
from tests.waiting import until


class Store:
    """Rows that are read when the test lets them be; a read that is cancelled is remembered."""

    def __init__(self) -> None:
        self.may_read = asyncio.Event()
        self.begun = self.cancelled = 0
        self.away = False
        self.up = True
        self.may_look_up = asyncio.Event()
        self.may_look_up.set()
        self.looked_up: list[set[str]] = []
        self.ended: set[str] = set()
        self.newest: Sequence[str] = ()

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def answers(self) -> bool:
        return self.up

    async def ended_before(self, session_id: str, message_ids: set[str], offset: int) -> set[str]:
        self.looked_up.append(message_ids)
        await self.may_look_up.wait()
        return message_ids & self.ended

    async def read(self, *_: object) -> Stored:
        self.begun += 1
        try:
            await self.may_read.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.away:
            raise StoreUnavailable("away")
        return Stored(None, [], {}, self.newest)


def made(store: Store) -> Snapshots:
    tail = SimpleNamespace(log_starts={0: 0}, shard_logs=[ShardLog(0)])
    return Snapshots(cast(Any, store), cast(Any, tail), 1, Counters())


async def fold(snapshots: Snapshots) -> None:
    await snapshots.fold("s", 0, Place(1, 0), 0)


async def test_no_read_is_cancelled_however_many_leave() -> None:
    store = Store()
    snapshots = made(store)
    for _ in range(30):
        folds = [asyncio.create_task(fold(snapshots)) for _ in range(100)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for each in folds:
            each.cancel()
        await asyncio.wait(folds)
    assert store.begun == module.READS_AT_ONCE  # for the others nothing was asked of Postgres
    store.may_read.set()
    await fold(snapshots)
    assert store.cancelled == 0


async def test_a_read_that_takes_too_long_is_let_go_and_ends_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STORE_LIMIT_S", 0.01)
    store = Store()
    snapshots = made(store)
    with pytest.raises(FoldUnavailable):
        await fold(snapshots)
    store.may_read.set()
    await asyncio.sleep(0)
    assert store.cancelled == 0


async def test_what_fails_is_told_and_a_pool_that_fails_alone_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FAILING_LIMIT_S", 0.0)
    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.01)
    store = Store()
    store.may_read.set()
    snapshots = made(store)
    await fold(snapshots)
    assert (snapshots.failing(), snapshots.not_ready()) == (None, None)
    store.away, store.up = True, False
    with pytest.raises(FoldUnavailable):
        await fold(snapshots)
    serving = asyncio.create_task(snapshots.run())
    try:
        await until(lambda: "no snapshots for" in str(snapshots.failing()), 30, "it is told")
        assert snapshots.not_ready() is None  # every gateway is in the same place
        store.up = True
        await until(lambda: "Postgres answers" in str(snapshots.not_ready()), 30, "not ready")
        store.away = False
        await until(lambda: not snapshots.failing() and not snapshots.not_ready(), 30, "ready")
    finally:
        serving.cancel()
        await asyncio.wait({serving})


def start(offset: int, message_id: str) -> Record:
    event = Status(
        session_id="s",
        message_id=message_id,
        created_at="",
        state="generating",
        attempt="late",
        fence=(1, 1, 0),
        prompt=Prompt(content="?", created_at=""),
    )
    return Record(offset, 0, "s", encode(event))


async def test_a_late_start_of_what_ended_long_ago_is_not_a_new_answer() -> None:
    """The rows of a long session are not read; what the log names of them is looked up."""
    store = Store()
    store.may_read.set()
    store.ended, store.newest = {"long-ago"}, ["lately"]
    snapshots = made(store)
    snapshots._tail.shard_logs[0].append(
        [start(0, "long-ago"), start(1, "lately"), start(2, "new")]
    )
    made_now = await snapshots.fold("s", 0, Place(1, 0), 0, ["never"])
    assert list(made_now.transcript.messages) == ["new"]
    assert made_now.ended == ["long-ago", "lately"]


async def test_a_fold_holds_what_came_while_it_was_made() -> None:
    # Seen: the joiner was given it live, and the snapshot took it back from the screen.
    store = Store()
    store.may_read.set()
    store.may_look_up.clear()
    store.ended = {"long-ago"}
    snapshots = made(store)
    log = snapshots._tail.shard_logs[0]
    log.append([start(0, "first"), start(1, "long-ago")])
    folded = asyncio.create_task(snapshots.fold("s", 0, Place(1, 2), 0, ["asked"]))
    await until(lambda: store.looked_up, 30, "it is asked what has ended")
    log.append([start(2, "long-ago"), start(3, "second")])
    store.may_look_up.set()
    made_now = await folded
    assert list(made_now.transcript.messages) == ["first", "second"]
    assert (made_now.position, made_now.ended) == (4, ["long-ago"])
    assert store.looked_up == [{"first", "long-ago", "asked"}, {"second"}]


async def test_a_fold_misses_nothing_that_comes_between_its_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Seen: a fold of more than a slice; a chunk came in its pauses, and was in neither the snapshot
    # nor what followed it.
    monkeypatch.setattr(slices, "SLICE_S", -1.0)  # a pause after every record
    store = Store()
    store.may_read.set()
    snapshots = made(store)
    log = snapshots._tail.shard_logs[0]
    log.append([start(offset, f"m{offset}") for offset in range(5)])
    folding = asyncio.create_task(snapshots.fold("s", 0, Place(1, 5), 0))
    while not folding.done():
        log.append([start(log.end, f"m{log.end}")])
        await asyncio.sleep(0)
    folded = folding.result()
    assert folded.position > 5
    assert list(folded.transcript.messages) == [f"m{offset}" for offset in range(folded.position)]


async def test_a_fold_holds_all_that_was_there_when_the_joiner_came() -> None:
    # Seen: the shard was read since a moment ago, and the snapshot ended before the answer's text.
    store = Store()
    store.may_read.set()
    snapshots = made(store)
    folded = asyncio.create_task(snapshots.fold("s", 0, Place(1, 2), 0))
    await until(lambda: store.begun == 1, 30, "its rows are read")
    snapshots._tail.shard_logs[0].append([start(0, "first")])
    await asyncio.sleep(2 * module.TAIL_LOOK_S)
    assert not folded.done()
    snapshots._tail.shard_logs[0].append([start(1, "second")])
    assert list((await folded).transcript.messages) == ["first", "second"]


async def test_while_the_tail_is_behind_there_is_no_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL_LIMIT_S", 0.01)
    store = Store()
    store.may_read.set()
    snapshots = made(store)
    snapshots._tail.shard_logs[0].append([start(0, "first")])
    with pytest.raises(FoldUnavailable, match="behind"):
        await snapshots.fold("s", 0, Place(1, 2), 0)


class Joiner:
    session_id, shard, joined_at, history, gone = "s", 0, 0, 0, False

    def __init__(self) -> None:
        self.frames: list[object] = []

    def take_snapshot(self, frame: object, position: int) -> None:
        self.frames.append(frame)

    def history_is_unavailable(self) -> None:
        pass


def waiting_of(snapshots: Snapshots) -> list[object]:
    return [joiner for here in snapshots._waiting.values() for joiner in here]


async def test_who_has_gone_leaves_the_queue() -> None:
    # Seen: 3,900 dead connections were held, for they waited behind a Postgres that was away.
    snapshots = made(Store())
    joiners = [Joiner() for _ in range(100)]
    for joiner in joiners:
        snapshots.request(joiner)
    for joiner in joiners[:99]:
        snapshots.withdraw(joiner)
        snapshots.withdraw(joiner)
    assert waiting_of(snapshots) == joiners[99:]
    joiners[99].gone = True
    snapshots._again_later(joiners[99])
    snapshots._enqueue(joiners[0])
    assert len(waiting_of(snapshots)) == 2


async def test_a_shard_of_which_much_must_be_read_holds_up_its_own_joiners_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Seen: four joiners of a shard whose rows were far behind kept everybody else waiting.
    store = Store()
    store.may_read.set()
    snapshots = made(store)
    snapshots._tail.log_starts.update({shard: 0 for shard in range(3)})
    snapshots._tail.shard_logs.extend([ShardLog(0), ShardLog(0)])
    may_reach = asyncio.Event()
    waited: list[int] = []

    async def slow(tail: Any, shard: int, position: int, session_id: str) -> Any:
        if shard == 0:
            waited.append(shard)
            await may_reach.wait()
        return await reach(tail, shard, position, session_id)

    monkeypatch.setattr(module, "reach", slow)
    stuck = [Joiner() for _ in range(3 * module.OF_A_SHARD)]
    quick = [Joiner() for _ in range(2 * module.OF_A_SHARD)]
    for number, joiner in enumerate(quick):
        joiner.shard = 1 + number % 2
    for joiner in [*stuck, *quick]:
        snapshots.request(joiner)
    serving = asyncio.create_task(snapshots.run())
    await until(lambda: all(joiner.frames for joiner in quick), 30, "the others' snapshots")
    # They share what is read: one turn of them has begun, all its joiners at once.
    assert len(waited) == module.OF_A_SHARD
    assert not any(joiner.frames for joiner in stuck)
    may_reach.set()
    await until(lambda: all(joiner.frames for joiner in stuck), 30, "theirs too")
    serving.cancel()
    await asyncio.wait({serving})


async def test_a_mistake_of_ours_in_one_snapshot_is_that_joiners_alone() -> None:
    store = Store()
    store.may_read.set()
    snapshots = made(store)
    unlucky, other = Joiner(), Joiner()
    unlucky.joined_at = None  # type: ignore[assignment]  # a surprise
    unlucky.shard = 17
    snapshots.request(unlucky)
    snapshots.request(other)
    serving = asyncio.create_task(snapshots.run())
    await until(lambda: other.frames, 30, "the other's snapshot")
    assert not serving.done()
    serving.cancel()
    await asyncio.wait({serving})
