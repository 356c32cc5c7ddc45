"""Reading shards as they grow, and older ranges of them, on a real Kafka."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.operators.tooling.log_range import LogRanges
from schemas.log import log_scan
from schemas.log.gap import first_record_in
from schemas.log.log_reader import A_TURN_RECORDS, LogReader, LogUnavailable, to_record
from schemas.log.log_scan import SCAN_TIMEOUT_S, LogScanner, RangeTrimmed, ScanTooLarge
from schemas.log.reading_pace import AT_ONCE, BUSY_FETCHES, Fetch
from schemas.log.topic_check import TopicUnusable, check_topics
from schemas.shard_log import Record
from schemas.topics import SESSION_LOG, USER_MESSAGES
from tests.odd_keys import write_odd_keys
from tests.stack import RunningStack
from tests.trim import trim
from tests.waiting import WITHIN_S, Changes

SHARDS = 2


class Log:
    """A topic of a test's own."""

    def __init__(self, kafka: str, topic: str, producer: AIOKafkaProducer) -> None:
        self.kafka = kafka
        self.topic = topic
        self._producer = producer

    async def put(self, count: int, shard: int = 0, size: int = 1) -> int:
        """Append records; give the end."""
        sent = [
            await self._producer.send(self.topic, b"x" * size, b"s1", partition=shard)
            for _ in range(count)
        ]
        return int((await asyncio.gather(*sent))[-1].offset) + 1

    async def in_transaction(self, count: int, *, commit: bool = True, shard: int = 0) -> int:
        """As a producer of others may write; give the end, whose last offset holds no record."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka, transactional_id=f"{self.topic}-{uuid4().hex[:8]}"
        )
        await producer.start()
        try:
            await producer.begin_transaction()
            sent = [
                await producer.send_and_wait(self.topic, b"x", b"s1", partition=shard)
                for _ in range(count)
            ]
            await (producer.commit_transaction() if commit else producer.abort_transaction())
        finally:
            await producer.stop()
        return int(sent[-1].offset) + 2

    async def with_odd_keys(self, count: int, codec: str, shard: int = 0) -> int:
        """One batch of records whose headers have keys that are no UTF-8; give the end."""
        first = await write_odd_keys(
            self._producer, self.topic, shard, [b"x"] * count, key=b"s1", codec=codec
        )
        return first + count

    async def trim(self, before: int, shard: int = 0) -> None:
        await trim(self.kafka, self.topic, shard, before)


@pytest.fixture
async def log(servers: RunningStack) -> AsyncIterator[Log]:
    topic = f"log-{uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.file.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, SHARDS, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=servers.file.kafka, acks="all")
    await producer.start()
    try:
        yield Log(servers.file.kafka, topic, producer)
    finally:
        await producer.stop()
        await admin.delete_topics([topic])
        await admin.close()


class Seen:
    """What a reader was given."""

    def __init__(self) -> None:
        self.offsets: dict[int, list[int]] = {shard: [] for shard in range(SHARDS)}
        self.gaps: list[tuple[int, int, int]] = []
        self._changes = Changes()

    def on_records(self, shard: int, records: Sequence[Record]) -> None:
        self.offsets[shard] += [record.offset for record in records]
        self._changes.tell()

    def on_gap(self, shard: int, start: int, end: int) -> None:
        self.gaps.append((shard, start, end))
        self._changes.tell()

    def has(self, count: int) -> bool:
        return len(self.offsets[0]) == count

    def is_of(self, shard: int, offsets: list[int]) -> bool:
        return self.offsets[shard] == offsets

    async def until(self, condition: Callable[[], bool]) -> None:
        await self._changes.until(condition, WITHIN_S, lambda: f"{self.offsets}, {self.gaps}")


@asynccontextmanager
async def reading(
    log: Log, seen: Any, gather: Fetch | None = None, rest_ms: int | None = None, **options: Any
) -> AsyncIterator[LogReader]:
    reader = LogReader(
        log.kafka,
        log.topic,
        SHARDS,
        on_records=seen.on_records,
        on_gap=seen.on_gap,
        gather=gather,
        rest_ms=rest_ms,
        **options,
    )
    await reader.start()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reader.run())
            yield reader
            running.cancel()
    finally:
        await reader.stop()


@asynccontextmanager
async def scanning(log: Log, max_bytes: int = 10**6) -> AsyncIterator[LogScanner]:
    scanner = LogScanner(log.kafka, log.topic, SHARDS, max_bytes=max_bytes)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(scanner.run())
        yield scanner
        running.cancel()


async def test_each_record_from_the_position_on_is_given_once_in_order(log: Log) -> None:
    await log.put(10)
    seen = Seen()
    async with reading(log, seen) as reader:
        reader.follow(0, 4)
        await log.put(10)
        await seen.until(lambda: len(seen.offsets[0]) == 16)
        await log.put(5)
        await seen.until(lambda: len(seen.offsets[0]) == 21)
        assert reader.position(0) == 25
    assert seen.offsets[0] == list(range(4, 25))
    assert seen.offsets[1] == []


async def test_a_reader_gathers_while_records_come_and_is_told_at_once_at_rest(log: Log) -> None:
    gather, at_rest, seen = Fetch(64 << 10, 30), Fetch(1, 500), Seen()
    async with reading(log, seen, gather, at_rest.max_wait_ms) as reader:
        reader.follow(0, 0)
        for count in (5, 10):
            for _ in range(BUSY_FETCHES):
                reader._set_pace(came=True)
            assert asks_with(reader) == gather
            await log.put(5)
            await seen.until(partial(seen.has, count))
            await until_it_asks_with(reader, at_rest)
    assert seen.offsets[0] == list(range(10))


class Turns:
    """Counts how many records came in each turn of the loop."""

    def __init__(self) -> None:
        self.came = Counter[int]()
        self._turn = 0

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self._run())
            yield
            running.cancel()

    async def _run(self) -> None:
        while True:
            self._turn += 1
            await asyncio.sleep(0)

    def take(self, records: int) -> None:
        self.came[self._turn] += records


async def test_a_fetch_of_many_records_is_given_over_several_turns_of_the_loop(log: Log) -> None:
    end = await log.put(10 * A_TURN_RECORDS)
    seen, turns = Seen(), Turns()

    class Counting(Seen):
        def on_records(self, shard: int, records: Sequence[Record]) -> None:
            turns.take(len(records))
            seen.on_records(shard, records)

    async with turns.counted(), reading(log, Counting()) as reader:
        reader.follow(0, 0)
        await seen.until(partial(seen.has, end))
    assert seen.offsets[0] == list(range(end))
    assert max(turns.came.values()) <= A_TURN_RECORDS


async def test_a_scan_leaves_turns_of_the_loop_to_others(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, turns = await log.put(10 * A_TURN_RECORDS), Turns()

    def counted(raw: ConsumerRecord) -> Record:
        turns.take(1)
        return to_record(raw)

    monkeypatch.setattr(log_scan, "to_record", counted)
    async with turns.counted(), scanning(log) as scanner:
        found = await scanner.scan(0, 0, end)
    assert [record.offset for record in found.read("s1", 0)] == list(range(end))
    assert max(turns.came.values()) <= A_TURN_RECORDS


async def test_who_is_followed_anew_does_not_wait_for_a_fetch_at_rest(log: Log) -> None:
    # A broker answers nothing for longer than the test may take, unless a record comes.
    at_rest, seen = Fetch(1, int(2 * WITHIN_S * 1000)), Seen()
    async with reading(
        log,
        seen,
        rest_ms=at_rest.max_wait_ms,
        request_timeout_ms=2 * at_rest.max_wait_ms,
    ) as reader:
        for expected in ([0], [0, 0, 1], [0, 0, 1, 0, 1, 2]):
            reader.follow(0, await reader.end_offset(0))
            await until_it_waits(reader, at_rest)
            await log.put(1, shard=1)
            reader.follow(1, 0)
            assert asks_with(reader) == AT_ONCE
            await seen.until(partial(seen.is_of, 1, expected))
            reader.unfollow(1)
        # And what is followed already is told at once.
        reader.follow(0, await reader.end_offset(0))
        await until_it_waits(reader, at_rest)
        await log.put(2, shard=0)
        await seen.until(lambda: seen.offsets[0] == [0, 1])


def asks_with(reader: LogReader) -> Fetch:
    fetcher = reader._consumer._fetcher
    return Fetch(fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms)


async def until_it_asks_with(reader: LogReader, pace: Fetch) -> None:
    async with asyncio.timeout(WITHIN_S):
        while asks_with(reader) != pace:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.05)


async def until_it_waits(reader: LogReader, pace: Fetch) -> None:
    """Wait until a fetch of this pace is with the broker."""

    def waits() -> bool:
        return any(
            (asked.min_bytes, asked.max_wait_time) == pace and not answer.done()
            for connection in reader._consumer._client._conns.values()
            for _, asked, answer in connection._requests
            if hasattr(asked, "max_wait_time")
        )

    async with asyncio.timeout(WITHIN_S):
        while not waits():  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.05)


async def test_following_one_shard_disturbs_no_other(log: Log) -> None:
    seen = Seen()
    async with reading(log, seen) as reader:
        reader.follow(0, 0)
        for _ in range(20):
            await log.put(5, shard=0)
            reader.follow(1, 0)
            await log.put(1, shard=1)
            reader.unfollow(1)
        reader.follow(1, 0)
        await seen.until(lambda: len(seen.offsets[0]) == 100)
        await seen.until(lambda: seen.offsets[1][-20:] == list(range(20)))
    assert seen.offsets[0] == list(range(100))


async def test_the_end_is_told_at_once_although_a_fetch_waits_for_records(log: Log) -> None:
    end = await log.put(3)
    seen = Seen()
    async with reading(log, seen) as reader:
        reader.follow(0, end)
        await log.put(1)
        await seen.until(lambda: seen.offsets[0] == [3])
        loop = asyncio.get_running_loop()
        took_s = []
        for _ in range(10):
            begun_s = loop.time()
            assert await reader.end_offset(0) == 4
            took_s.append(loop.time() - begun_s)
        assert min(took_s) < 0.05


async def test_what_was_trimmed_before_it_was_read_is_an_event(log: Log) -> None:
    await log.put(20)
    await log.trim(12)
    seen = Seen()
    async with reading(log, seen) as reader:
        reader.follow(0, 5)
        await seen.until(lambda: len(seen.offsets[0]) == 8)
        assert (await reader.start_offsets([0]))[0] == 12
    assert seen.gaps == [(0, 5, 12)]
    assert seen.offsets[0] == list(range(12, 20))


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "aborted"])
async def test_the_end_is_reached_although_its_last_offset_is_a_marker(
    log: Log, commit: bool
) -> None:
    # A gateway's tail was "behind the log" for ever, and a worker's shard never began.
    await log.put(3)
    end = await log.in_transaction(2, commit=commit)
    seen = Seen()
    async with reading(log, seen) as reader:
        reader.follow(0, 0)
        await seen.until(lambda: reader.position(0) == end)
        assert (await reader.seen())[0].end == end
        assert seen.offsets[0] == [0, 1, 2, 3, 4, 5]  # an aborted record is one like any other
        assert await log.put(1) == end + 1
        await seen.until(lambda: reader.position(0) == end + 1)
    assert seen.gaps == []


async def test_an_open_transaction_of_a_stranger_holds_up_nobody(log: Log) -> None:
    stranger = AIOKafkaProducer(bootstrap_servers=log.kafka, transactional_id=f"{log.topic}-open")
    await stranger.start()
    seen = Seen()
    try:
        await stranger.begin_transaction()
        await stranger.send_and_wait(log.topic, b"x", b"s1", partition=0)
        end = await log.put(3)
        async with reading(log, seen) as reader, scanning(log) as scanner:
            reader.follow(0, 0)
            await seen.until(lambda: reader.position(0) == end)
            assert (await scanner.scan(0, 0, end)).end == end
        await stranger.abort_transaction()
    finally:
        await stranger.stop()


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "aborted"])
async def test_a_scan_and_a_range_end_at_a_marker(log: Log, commit: bool) -> None:
    # The scan waited for a record that never came, until its time-out.
    await log.put(3)
    end = await log.in_transaction(1, commit=commit)
    async with scanning(log) as scanner, asyncio.timeout(SCAN_TIMEOUT_S):
        assert (await scanner.scan(0, 0, end)).end == end
        assert (await scanner.scan(0, end - 1, end)).end == end
    async with LogRanges(log.kafka) as ranges, asyncio.timeout(SCAN_TIMEOUT_S):
        offsets = [r.offset async for some in ranges.read(log.topic, 0, 0, end) for r in some]
        assert offsets == [0, 1, 2, 3]
        assert [some async for some in ranges.read(log.topic, 0, end - 1, end)] == []
    assert await first_record_in(log.kafka, log.topic, 0, end - 1, end) is None


@pytest.mark.parametrize("codec", ["none", "zstd"])
async def test_a_header_whose_key_is_no_utf8_is_read_by_tail_scan_and_range(
    log: Log, codec: str
) -> None:
    """aiokafka raised UnicodeDecodeError out of `getmany`: one record of a stranger ended all."""
    await log.put(3)
    await log.with_odd_keys(4, codec)
    end = await log.put(3)
    seen = Seen()
    async with reading(log, seen) as reader:
        reader.follow(0, 0)
        await seen.until(lambda: seen.has(end))
        assert await reader.newest_ms() is not None
        end = await log.with_odd_keys(1, codec)
        await seen.until(lambda: seen.has(end))
        assert await reader.newest_ms() is not None  # by a look at that last record
    assert seen.offsets[0] == list(range(end))
    async with scanning(log) as scanner:
        scanned = await scanner.scan(0, 4, end)
    assert [each.offset for each in scanned.read("s1", 4)] == list(range(4, end))
    assert await first_record_in(log.kafka, log.topic, 0, 5, end) == 5


async def test_a_position_past_the_end_is_an_event(log: Log) -> None:
    await log.put(5)
    seen = Seen()
    async with reading(log, seen) as reader:
        reader.follow(0, 900)
        await seen.until(lambda: len(seen.offsets[0]) == 5)
    assert seen.gaps == [(0, 900, 0)]


async def test_a_topic_that_cant_work_is_named_with_its_setting(log: Log) -> None:
    odd = f"{log.topic}-odd"
    config = {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}
    admin = AIOKafkaAdminClient(bootstrap_servers=log.kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(odd, 1, 1, topic_configs=config)])
        said = ""
        async with asyncio.timeout(WITHIN_S):
            # The broker knows a new topic's settings a moment after it has made it.
            while not all(f"{name}={value}" in said for name, value in config.items()):
                try:
                    await check_topics(log.kafka, [odd])
                except TopicUnusable as error:
                    said = str(error)
        await check_topics(log.kafka, [USER_MESSAGES, SESSION_LOG])
    finally:
        await admin.delete_topics([odd])
        await admin.close()


async def test_a_broker_that_is_not_there_is_named() -> None:
    reader = LogReader("127.0.0.1:1", "t", 1, on_records=print, on_gap=print)
    with pytest.raises(LogUnavailable):
        await reader.start()
    await reader.stop()


async def test_the_newest_records_tell_the_brokers_time(log: Log) -> None:
    times: dict[int, int] = {}

    def heard(shard: int, records: Sequence[Record]) -> None:
        times[shard] = records[-1].timestamp_ms
        seen.on_records(shard, records)

    seen = Seen()
    watched = SimpleNamespace(on_records=heard, on_gap=seen.on_gap)
    async with reading(log, watched) as reader:
        assert await reader.newest_ms() is None  # there is no record
        await log.put(3)
        await log.put(2, shard=1)
        for shard in range(SHARDS):
            reader.follow(shard, 0)
        await seen.until(lambda: seen.offsets == {0: [0, 1, 2], 1: [0, 1]})
        while (newest_ms := await reader.newest_ms()) is None:  # a broker that took too long
            pass
        assert newest_ms == max(times.values())
        end = await log.in_transaction(1, shard=1)
        await seen.until(lambda: reader.position(1) == end)
        while (newest_ms := await reader.newest_ms()) is None:
            pass
        assert newest_ms == times[0], "the last offset of the other has no record"


async def test_a_scan_gives_exactly_the_range(log: Log) -> None:
    await log.put(50)
    async with scanning(log) as scanner:
        found = await scanner.scan(0, 10, 30)
        assert found.start == 10
        assert found.end >= 30
        assert [r.offset for r in found.read("s1", 10)][:20] == list(range(10, 30))
        assert (await scanner.scan(0, 7, 7)).read("s1", 7) == []


async def test_those_who_wait_share_a_scan(log: Log) -> None:
    end = await log.put(200)
    async with scanning(log) as scanner:
        ranges = [(start, end) for start in range(100)]
        found = await asyncio.gather(*(scanner.scan(0, *one) for one in ranges))
        for (start, _), one in zip(ranges, found, strict=True):
            assert [r.offset for r in one.read("s1", start)] == list(range(start, end))
        assert scanner.scans == 1


async def test_who_comes_while_a_scan_runs_is_served_by_it_if_it_covers_him(log: Log) -> None:
    end = await log.put(200)
    async with scanning(log) as scanner:
        first = asyncio.create_task(scanner.scan(0, 0, end))
        for _ in range(3):
            await asyncio.sleep(0)  # the scanner has begun, and has read nothing yet
        assert scanner.scans == 1
        late = asyncio.create_task(scanner.scan(0, 50, end))
        assert (await first) is (await late)
        assert scanner.scans == 1


async def test_too_large_a_range_is_refused_and_spoils_no_other(log: Log) -> None:
    end = await log.put(1000, size=1000)
    async with scanning(log, max_bytes=200_000) as scanner:
        greedy = asyncio.create_task(scanner.scan(0, 0, end))
        modest = asyncio.create_task(scanner.scan(0, end - 50, end))
        with pytest.raises(ScanTooLarge):
            await greedy
        assert [r.offset for r in (await modest).read("s1", end - 50)] == list(range(end - 50, end))


async def test_a_range_that_was_trimmed_is_named(log: Log) -> None:
    end = await log.put(20)
    await log.trim(12)
    async with scanning(log) as scanner:
        with pytest.raises(RangeTrimmed):
            await scanner.scan(0, 5, end)
        assert len((await scanner.scan(0, 12, end)).read("s1", 12)) == 8
