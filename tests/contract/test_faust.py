"""What the worker's intake rests on, asked of the real Faust on a real Kafka.

Each of these was found by experiment and is not promised anywhere. If one fails after an update of
the library, messages can be lost or answered twice.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.cluster import ClusterMetadata

from schemas.topics import USER_MESSAGES
from tests.odd_keys import READ, write_odd_keys
from tests.stack import RunningStack
from tests.waiting import WITHIN_S, Changes, once_within
from workers.faust_group import FaustIntake, UserRecord

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SHARD = 5
BACKLOG = 2_000
"""Far more than is given in the tenth of a second after which aiokafka, with records of some
partitions still at hand, fetches those of the others."""
MEMBERS: list[FaustIntake] = []


class Recorder:
    """Takes what is delivered; `acknowledge` is up to the test."""

    def __init__(self) -> None:
        self.records: list[UserRecord] = []
        self.shards: set[int] = set()
        self.revokes = 0
        self.assignments = 0
        self.before_rejoin: Callable[[], asyncio.Future[None]] | None = None
        self.on_record: Callable[[UserRecord], None] | None = None
        self.on_any: Callable[[UserRecord], None] | None = None
        self._changes = Changes()

    def delivered(self, record: UserRecord) -> None:
        if self.on_any is not None:
            self.on_any(record)
        if record.shard == SHARD:
            self.records.append(record)
            if self.on_record is not None:
                self.on_record(record)
        self._changes.tell()

    async def revoked(self) -> None:
        self.revokes += 1
        self._changes.tell()
        if self.before_rejoin is not None:
            await self.before_rejoin()

    def assigned(self, shards: set[int]) -> None:
        self.assignments += 1
        self.shards = shards
        self._changes.tell()

    async def until(self, condition: Callable[[], bool]) -> None:
        await self._changes.until(condition, WITHIN_S, lambda: f"{self.offsets}, {self.shards}")

    @property
    def offsets(self) -> list[int]:
        return [record.offset for record in self.records]


class Log:
    """The topic, from its end at the start of the test on."""

    def __init__(self, servers: RunningStack) -> None:
        self.kafka = servers.file.kafka
        self.group = f"contract-{uuid4().hex[:8]}"
        self.partition = TopicPartition(USER_MESSAGES, SHARD)
        self.start = 0
        self._producer = AIOKafkaProducer(bootstrap_servers=self.kafka)
        self._group = AIOKafkaConsumer(
            bootstrap_servers=self.kafka, group_id=self.group, enable_auto_commit=False
        )

    async def open(self, *, at_the_end: bool = True) -> None:
        await self._producer.start()
        await self._group.start()
        self.start = (await self._group.end_offsets([self.partition]))[self.partition]
        if not at_the_end:
            return
        # The group begins here: what other tests have written is not ours.
        self._group.assign([TopicPartition(USER_MESSAGES, shard) for shard in range(8)])
        ends = await self._group.end_offsets(self._group.assignment())
        await self._group.commit(ends)
        self._group.unsubscribe()

    async def close(self) -> None:
        await self._producer.stop()
        await self._group.stop()

    async def write(self, count: int, shards: Iterable[int] = (SHARD,)) -> None:
        for number in range(count):
            for shard in shards:
                await self._producer.send(USER_MESSAGES, f"{number}".encode(), partition=shard)
        await self._producer.flush()

    async def write_odd_keys(self, values: list[bytes]) -> None:
        """One batch of records whose headers have keys that are no UTF-8."""
        await write_odd_keys(self._producer, USER_MESSAGES, SHARD, values)

    async def committed(self) -> int:
        """How many of the test's records are committed."""
        return (await self._group.committed(self.partition) or self.start) - self.start


@pytest.fixture
async def log(servers: RunningStack) -> AsyncIterator[Log]:
    made = Log(servers)
    await made.open()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
async def leave_no_member() -> AsyncIterator[None]:
    """A member that a failed test leaves has a thread that would keep the test run alive."""
    yield
    while MEMBERS:
        await MEMBERS.pop().stop()


async def joined(log: Log, recorder: Recorder, folder: Path) -> FaustIntake:
    intake = FaustIntake(log.kafka, recorder, folder=folder, group=log.group)
    MEMBERS.append(intake)
    await intake.start()
    await recorder.until(lambda: recorder.assignments > 0)
    return intake


@asynccontextmanager
async def nothing_committed(
    servers: RunningStack, folder: Path
) -> AsyncIterator[tuple[Log, Recorder, FaustIntake]]:
    """A group without a position; all that lies in the topic is delivered, the last three new."""
    log = Log(servers)
    await log.open(at_the_end=False)
    recorder = Recorder()
    intake = await joined(log, recorder, folder)
    await log.write(3)
    # All that other tests have written to the topic comes first: nothing is under way then.
    await recorder.until(lambda: (log.start + 2) in recorder.offsets)
    yield log, recorder, intake
    await intake.stop()
    await log.close()


async def reaches(log: Log, count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while await log.committed() < count:  # noqa: ASYNC110 - a broker tells nobody
            await asyncio.sleep(0.1)


async def test_what_is_acknowledged_in_order_is_committed_and_nothing_else(
    log: Log, tmp_path: Path
) -> None:
    recorder = Recorder()
    intake = await joined(log, recorder, tmp_path)
    await log.write(20)
    await recorder.until(lambda: len(recorder.records) == 20)
    assert recorder.offsets == list(range(log.start, log.start + 20))
    for offset in recorder.offsets[:7]:
        intake.acknowledge(SHARD, offset)
    await reaches(log, 7)
    await intake.stop()
    assert await log.committed() == 7

    again = Recorder()
    intake = await joined(log, again, tmp_path)
    await again.until(lambda: len(again.records) == 13)
    assert again.offsets == list(range(log.start + 7, log.start + 20))
    for offset in again.offsets:
        intake.acknowledge(SHARD, offset)
    # What is acknowledged is committed when the member leaves, at the latest.
    await intake.stop()
    assert await log.committed() == 20


async def test_a_group_that_has_committed_nothing_reads_again_what_a_rebalance_threw_away(
    servers: RunningStack, tmp_path: Path
) -> None:
    """Five messages were lost so: fetched in a rebalance, thrown away, never sought again."""
    async with nothing_committed(servers, tmp_path) as (_, recorder, intake):
        await intake._app.consumer.perform_seek()  # what Faust does with a batch in hand
        await recorder.until(lambda: recorder.offsets.count(recorder.offsets[0]) == 2)
        again = recorder.offsets.index(recorder.offsets[0], 1)
        assert recorder.offsets[again:] == recorder.offsets[: len(recorder.offsets) - again]


async def test_what_the_group_has_refused_to_commit_comes_again_and_is_committed_then(
    servers: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that stands still has thrown the member out; it comes back with what it had."""
    refused = asyncio.Event()

    async def refuse(_offsets: object) -> bool:
        refused.set()
        return False

    async with nothing_committed(servers, tmp_path) as (log, recorder, intake):
        consumer: Any = intake._app.consumer
        with monkeypatch.context() as patched:
            patched.setattr(consumer, "_commit", refuse)
            first_time = recorder.offsets
            for offset in first_time:
                intake.acknowledge(SHARD, offset)
            async with asyncio.timeout(WITHIN_S):
                await refused.wait()
        await consumer.perform_seek()  # what Faust does when the member has rejoined
        assert intake.committed(SHARD) == 0
        await recorder.until(lambda: recorder.offsets[len(first_time) :] == first_time)
        assert recorder.records[len(first_time)].begins == first_time[0]
        for offset in first_time:
            intake.acknowledge(SHARD, offset)
        await reaches(log, 3)


async def test_a_first_delivery_says_where_it_should_have_begun(log: Log, tmp_path: Path) -> None:
    recorder = Recorder()
    intake = await joined(log, recorder, tmp_path)
    consumer: Any = intake._app.consumer
    consumer.begins[SHARD] -= 1  # as if the record before had been thrown away
    await log.write(2)
    await recorder.until(lambda: len(recorder.records) == 2)
    first, second = recorder.records
    assert (first.begins, second.begins) == (first.offset - 1, None)
    await intake.stop()
    assert await log.committed() == 0


async def test_a_full_buffer_stops_delivery_and_loses_nothing(log: Log, tmp_path: Path) -> None:
    recorder = Recorder()
    intake = await joined(log, recorder, tmp_path)
    unacknowledged: list[int] = []
    most = 0
    stopped = False

    def take(record: UserRecord) -> None:
        nonlocal most, stopped
        unacknowledged.append(record.offset)
        most = max(most, len(unacknowledged))
        if len(unacknowledged) >= 5 and not stopped:
            stopped = True
            intake.stop_reading(SHARD)

    recorder.on_record = take
    await log.write(400)
    async with asyncio.timeout(WITHIN_S):
        while len(recorder.records) < 400:
            await asyncio.sleep(0.01)
            while unacknowledged:
                intake.acknowledge(SHARD, unacknowledged.pop(0))
            if stopped:
                stopped = False
                intake.read_on(SHARD)
    while unacknowledged:
        intake.acknowledge(SHARD, unacknowledged.pop(0))
    assert recorder.offsets == list(range(log.start, log.start + 400))
    assert most <= 5 + 100, "the bound is overshot by more than one batch"
    await reaches(log, 400)
    await intake.stop()


async def test_a_backlog_of_one_shard_holds_up_no_other(log: Log, tmp_path: Path) -> None:
    """Seen: with 600 messages in each of eight shards the last shard waited for all the others; on
    a busy machine its watch took that for a standstill, and ended the worker again and again."""
    await log.write(BACKLOG, range(8))
    order: list[int] = []
    recorder = Recorder()
    recorder.on_any = lambda record: order.append(record.shard)
    await joined(log, recorder, tmp_path)
    await recorder.until(lambda: len(order) >= 8 * BACKLOG)
    first = [order.index(shard) for shard in range(8)]
    # By then two shards would have been given to their ends, had each to wait for those before it.
    assert max(first) < 2 * BACKLOG, first
    assert sorted(order) == [shard for shard in range(8) for _ in range(BACKLOG)]


async def test_a_header_whose_key_is_no_utf8_stops_no_delivery(log: Log, tmp_path: Path) -> None:
    recorder = Recorder()
    intake = await joined(log, recorder, tmp_path)
    await log.write(2)
    await log.write_odd_keys([b"odd", b"odder"])
    await log.write(2)
    await recorder.until(lambda: len(recorder.records) == 6)
    assert recorder.offsets == list(range(log.start, log.start + 6))
    assert [each.headers for each in recorder.records[2:4]] == [{READ: b"1"}] * 2
    for offset in recorder.offsets:
        intake.acknowledge(SHARD, offset)
    await reaches(log, 6)
    await intake.stop()


async def test_a_shard_without_a_leader_keeps_no_other_from_its_member(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka asks for the starts of all shards or gives none: whoever joined was ended."""
    dead = TopicPartition(USER_MESSAGES, SHARD - 1)
    led = ClusterMetadata.leader_for_partition
    await log.write(2, (SHARD, dead.partition))
    with monkeypatch.context() as patched:
        patched.setattr(
            ClusterMetadata,
            "leader_for_partition",
            lambda self, partition: -1 if partition == dead else led(self, partition),
        )
        recorder = Recorder()
        came: list[int] = []
        recorder.on_any = lambda record: came.append(record.shard)
        intake = await joined(log, recorder, tmp_path)
        await recorder.until(lambda: len(recorder.records) == 2)
        assert dead.partition not in came
    await recorder.until(lambda: came.count(dead.partition) == 2)
    assert recorder.offsets == [log.start, log.start + 1]
    await intake.stop()


async def test_the_generation_is_that_of_the_delivery(log: Log, tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    intake = await joined(log, first, tmp_path)
    await log.write(3)
    await first.until(lambda: len(first.records) == 3)
    generations = {record.generation for record in first.records}
    assert len(generations) == 1

    other = await joined(log, second, tmp_path)
    await first.until(lambda: first.assignments == 2)
    assert first.revokes >= 1
    assert first.shards | second.shards == set(range(8))
    assert not first.shards & second.shards
    # Nothing was acknowledged: all comes again, to whoever has the shard, under a later generation.
    owner = first if SHARD in first.shards else second
    old = 3 if owner is first else 0
    await owner.until(lambda: len(owner.records) == old + 3)
    [later] = {record.generation for record in owner.records[old:]}
    assert later > generations.pop()
    assert owner.offsets[old:] == list(range(log.start, log.start + 3))
    await other.stop()
    await intake.stop()


async def test_a_member_does_not_rejoin_before_its_revoke_is_handled(
    log: Log, tmp_path: Path
) -> None:
    first, second = Recorder(), Recorder()
    intake = await joined(log, first, tmp_path)
    may_go: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    first.before_rejoin = lambda: may_go
    joining = asyncio.create_task(joined(log, second, tmp_path))
    await first.until(lambda: first.revokes == 1)
    # Longer than a heartbeat, shorter than the session's time-out: it stays a member.
    done, _ = await asyncio.wait([joining], timeout=3.0)
    assert not done
    assert first.assignments == 1
    first.before_rejoin = None
    may_go.set_result(None)
    other = await joining
    await first.until(lambda: first.assignments == 2)
    assert first.shards | second.shards == set(range(8))
    await other.stop()
    await intake.stop()


async def test_who_leaves_gives_its_shards_to_the_others_at_once(log: Log, tmp_path: Path) -> None:
    # Whoever is missed only at the end of its session's time-out is missed after six seconds.
    await once_within(4.0, lambda: _taken_over_s(log, tmp_path))


async def _taken_over_s(log: Log, tmp_path: Path) -> float:
    first, second = Recorder(), Recorder()
    intake = await joined(log, first, tmp_path)
    other = await joined(log, second, tmp_path)
    await intake.stop()
    began_s = time.monotonic()
    await second.until(lambda: second.shards == set(range(8)))
    took_s = time.monotonic() - began_s
    await other.stop()
    return took_s


async def test_a_receiver_that_fails_stops_the_intake_and_acknowledges_nothing(
    log: Log, tmp_path: Path
) -> None:
    recorder = Recorder()

    def fail(record: UserRecord) -> None:
        raise RuntimeError("bug")

    recorder.on_record = fail
    intake = await joined(log, recorder, tmp_path)
    await log.write(3)
    async with asyncio.timeout(WITHIN_S):
        crash = await intake.crashed()
    assert "bug" in str(crash)
    assert len(recorder.records) == 1
    await intake.stop()
    assert await log.committed() == 0
