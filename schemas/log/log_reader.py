"""Reads a topic's shards as they grow: the one owner of aiokafka's consumer for that.

All shards are assigned once, because `assign()` throws away every position; a shard nobody follows
is paused. Positions are explicit: a lazy seek to the end would skip what comes meanwhile, so the
end is asked for, then sought. What was trimmed before it was read is an event (`on_gap`), never a
jump.

Offsets are not dense, and the last ones may hold no record at all: the markers of transactions and
what compaction has removed take offsets too. So a position comes from what was fetched, not from
the last record, and whoever waits for the log's end is told when only such offsets were left.
Everybody reads uncommitted: a stranger's open transaction must not hold up a chat, and a record of
an aborted one is a record like any other. A reader that took another view would end elsewhere.

`scan` (older ranges) goes through a consumer of its own (`schemas.log.log_scan`): the tail is never
sought for a reader's sake.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schemas.brokers import Kafka
from schemas.log import fetch_in_flight
from schemas.log.kafka_client import BrokersRefuse, Consumer
from schemas.log.reading_pace import AT_ONCE, Fetch, ReadingPace
from schemas.process.standstill import Seen
from schemas.shard_log import Record

T = TypeVar("T")
OnRecords = Callable[[int, Sequence[Record]], None]
OnGap = Callable[[int, int, int], None]

REQUEST_TIMEOUT_S = 5.0
START_TIMEOUT_S = 30.0
CLIENT_TIMEOUT_S = 10.0
"""After so long aiokafka gives up a request by itself, and asks another broker."""


POLL_MS = 100
"""A fetch that brought no record wakes nobody; so long may it take until its offsets are passed."""
POLL_AT_REST_MS = 1_000
"""The same while nothing comes."""
A_TURN_RECORDS = 100
"""So many of a fetch are unpacked and given in a turn of the loop, which takes some milliseconds;
then others have theirs. A whole fetch of small records would hold the loop for a tenth of a second.
"""
LOOKED_AT_MAX = 64
LOOKED_AT_BYTES = 64 * 1024
LOOKS_MAX = 20
"""What a look at the newest records may cost: shards, bytes of each at once, and waits."""
NOTHING = b'{"type":"nothing"}'
"""The value of a `Record` that stands for offsets without one. Every reader skips what it does not
know, and counts its offset."""


class LogUnavailable(Exception):
    """The broker did not answer in time: try again."""


class LogRefused(LogUnavailable):
    """The brokers are there and refuse us; the text names the setting. Somebody may repair it."""


REFUSED = (BrokersRefuse, LogRefused)
"""What says all in one line: where it was raised is of no use to anybody."""


def consumer(kafka: Kafka, **options: Any) -> AIOKafkaConsumer:
    """Make a consumer without a group that never jumps: a position out of range is an error."""
    settings: dict[str, Any] = {
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_uncommitted",
        "fetch_min_bytes": AT_ONCE.min_bytes,
        "fetch_max_wait_ms": AT_ONCE.max_wait_ms,
        "max_partition_fetch_bytes": 2 * 1024 * 1024,
        "request_timeout_ms": int(CLIENT_TIMEOUT_S * 1000),
    }
    return Consumer(kafka, **(settings | options))


def to_record(raw: ConsumerRecord) -> Record:
    """Keep what readers need of aiokafka's record; a key that is no text becomes the empty one."""
    key = (raw.key or b"").decode(errors="replace")
    return Record(raw.offset, raw.timestamp, key, raw.value or b"")


def next_offset(client: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """Give the offset that the client asks for next, or None if it has no position there.

    It lies after all that `getmany` gave, and also after what was fetched and held no record.
    """
    subscription = client._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None or partition not in assignment.tps:
        return None
    state = assignment.state_value(partition)
    return int(state.position) if state.has_valid_position else None


def nothing_before(position: int, timestamp_ms: int) -> Record:
    """Give what stands for the offsets before `position` that hold no record."""
    return Record(position - 1, timestamp_ms, "", NOTHING)


async def offsets_of(
    client: AIOKafkaConsumer, partitions: Iterable[TopicPartition], which: Literal["starts", "ends"]
) -> dict[TopicPartition, int]:
    """Ask for the first or the next offsets in one request; none of partitions without a leader.

    One that has none would hold up the answer about all others until the time-out.

    Raises:
        LogUnavailable: the broker did not answer in time.
    """
    wanted = list(partitions)
    for topic in {each.topic for each in wanted}:
        await answered(client._client.add_topic(topic))
    cluster = client._client.cluster
    led = [each for each in wanted if cluster.leader_for_partition(each) not in (None, -1)]
    if len(led) < len(wanted):
        client._client.force_metadata_update()
    if not led:
        return {}
    ask = client.beginning_offsets if which == "starts" else client.end_offsets
    found: dict[TopicPartition, int] = await answered(ask(led))
    return found


class LogReader:
    """Follows shards of one topic from explicit positions.

    `on_records(shard, records)` is given each shard's records in order, without holes, in the loop
    of `run`; it must not block. Where the last offsets that were fetched hold no record, one of the
    value NOTHING stands at the last of them. `on_gap(shard, from_offset, to_offset)` says that the
    log no longer held [from_offset, to_offset); reading goes on at `to_offset` (which is lower only
    if the log itself was made anew or lost its end).
    """

    def __init__(
        self,
        kafka: Kafka,
        topic: str,
        shards: int,
        *,
        on_records: OnRecords,
        on_gap: OnGap,
        awake: Fetch = AT_ONCE,
        gather: Fetch | None = None,
        rest_ms: int | None = None,
        **options: Any,
    ) -> None:
        """Make a reader of the topic, stopped.

        `awake`: what a fetch waits for while little comes; `gather`: while much comes, for who
        reads much and is not watched; `rest_ms`: so long it waits while nothing comes.
        """
        self._kafka = kafka
        self._pace = ReadingPace(awake, gather=gather, rest_ms=rest_ms)
        self._consumer = consumer(
            kafka,
            fetch_min_bytes=awake.min_bytes,
            fetch_max_wait_ms=awake.max_wait_ms,
            **options,
        )
        # Questions go over a connection of their own. A broker answers a connection's requests one
        # at a time, so a question would wait behind the fetch that waits for new records.
        self._asker = consumer(kafka)
        self._topic = topic
        self._partitions = [TopicPartition(topic, shard) for shard in range(shards)]
        self._on_records = on_records
        self._on_gap = on_gap
        self._positions: dict[int, int] = {}
        self._sought_again: set[int] = set()
        self._latest_ms: dict[int, int] = {}
        self._passed_s = 0.0
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Connect; no shard is followed yet. Raises LogUnavailable."""
        await answered(self._consumer.start(), START_TIMEOUT_S)
        await answered(self._asker.start(), START_TIMEOUT_S)
        self._consumer.assign(self._partitions)
        self._consumer.pause(*self._partitions)
        # A position must exist even while paused: the fetcher waits for one otherwise.
        for partition in self._partitions:
            self._consumer.seek(partition, 0)

    async def stop(self) -> None:
        """Close the connections, both at once, for at most a few seconds."""
        await asyncio.gather(*(stopped(each, REQUEST_TIMEOUT_S) for each in self._clients()))

    def _clients(self) -> tuple[AIOKafkaConsumer, AIOKafkaConsumer]:
        return self._consumer, self._asker

    def follow(self, shard: int, position: int) -> None:
        """Read the shard from `position` on (again, if it is followed already)."""
        partition = self._partitions[shard]
        self._positions[shard] = position
        self._consumer.seek(partition, position)
        self._consumer.resume(partition)
        self._wake.set()
        fetch_in_flight.followed(self._consumer, self._pace)

    def unfollow(self, shard: int) -> None:
        """Stop reading the shard; its position is forgotten."""
        self._latest_ms.pop(shard, None)
        if self._positions.pop(shard, None) is not None:
            self._consumer.pause(self._partitions[shard])

    def position(self, shard: int) -> int | None:
        """Give the offset of the next record that `on_records` will get; None if not followed."""
        return self._positions.get(shard)

    async def end_offset(self, shard: int) -> int:
        """Ask the broker, now, for the offset after the shard's last record."""
        return (await self.end_offsets([shard]))[shard]

    async def seen(self) -> dict[int, Seen]:
        """Ask where the log ends, and say where the followed shards are; none without a leader.

        Raises LogUnavailable.
        """
        ends = await offsets_of(self._asker, self._named(self._positions, None), "ends")
        return {
            partition.partition: Seen(position, end, self._fetched_ms(partition.partition))
            for partition, end in ends.items()
            if (position := self._positions.get(partition.partition)) is not None
        }

    def _fetched_ms(self, shard: int) -> int:
        """When the broker last answered a fetch of the shard, with records or without; 0: never."""
        return self._consumer.last_poll_timestamp(self._partitions[shard]) or 0

    async def end_offsets(self, shards: Iterable[int], topic: str | None = None) -> dict[int, int]:
        """Ask for several ends at once, also of another topic. Raises LogUnavailable."""
        wanted = self._named(shards, topic)
        offsets = await answered(self._asker.end_offsets(wanted))
        return {partition.partition: offset for partition, offset in offsets.items()}

    def _named(self, shards: Iterable[int], topic: str | None) -> list[TopicPartition]:
        return [TopicPartition(topic or self._topic, shard) for shard in shards]

    async def start_offsets(
        self, shards: Iterable[int], topic: str | None = None
    ) -> dict[int, int]:
        """Ask for the first offset that each shard still holds. Raises LogUnavailable."""
        wanted = self._named(shards, topic)
        offsets = await answered(self._asker.beginning_offsets(wanted))
        return {partition.partition: offset for partition, offset in offsets.items()}

    async def offset_at(self, shard: int, timestamp_ms: int) -> int:
        """Ask for the first offset whose log-append time is not before `timestamp_ms`.

        That is the end, asked now, if every record is older. Raises LogUnavailable.
        """
        partition = self._partitions[shard]
        end = await self.end_offset(shard)
        found = await answered(self._asker.offsets_for_times({partition: max(timestamp_ms, 0)}))
        place = found.get(partition)
        return end if place is None else place.offset

    async def newest_ms(self) -> int | None:
        """Give the log-append time of the newest record, of all shards or of some of very many.

        A connection of its own reads the last record of each. None: there is none, or it holds no
        record. Raises LogUnavailable.
        """
        looked_at = random.sample(self._partitions, min(len(self._partitions), LOOKED_AT_MAX))
        ends = await offsets_of(self._asker, looked_at, "ends")
        starts = await offsets_of(self._asker, ends, "starts")
        left = {each for each in starts if ends[each] > starts[each]}
        if not left:
            return None
        times_ms: list[int] = []
        reader = consumer(self._kafka, max_partition_fetch_bytes=LOOKED_AT_BYTES)
        try:
            await answered(reader.start(), START_TIMEOUT_S)
            reader.assign(left)
            for partition in left:
                reader.seek(partition, ends[partition] - 1)
            for _ in range(LOOKS_MAX):
                found = await answered(reader.getmany(timeout_ms=POLL_MS))
                times_ms += [raw.timestamp for raws in found.values() for raw in raws]
                left -= found.keys()
                if not left:
                    break
        finally:
            await stopped(reader, REQUEST_TIMEOUT_S)
        return max(times_ms, default=None)

    async def run(self) -> None:
        """Read until cancelled. Raises KafkaError if the consumer cannot go on."""
        while True:
            if not self._positions:
                self._wake.clear()
                await self._wake.wait()
            wait_ms = min(max(POLL_MS, self._pace.now.max_wait_ms), POLL_AT_REST_MS)
            try:
                batches = await self._consumer.getmany(
                    timeout_ms=wait_ms, max_records=A_TURN_RECORDS
                )
            except OffsetOutOfRangeError as error:
                for partition, position in error.args[0].items():
                    await self._gap(partition.partition, position)
                continue
            self._set_pace(came=bool(batches))
            for partition, raws in batches.items():
                self._give(partition.partition, raws)
            self._pass_nothing()
            if batches:
                await asyncio.sleep(0)  # of what has come already none waits for a turn

    def _set_pace(self, *, came: bool) -> None:
        fetch_in_flight.fetched(self._consumer, self._pace, records=came)

    def _give(self, shard: int, raws: Sequence[ConsumerRecord]) -> None:
        expected = self._positions.get(shard)
        if expected is None:
            return  # not followed any more: a fetch that was under way
        if raws[0].offset != expected and shard not in self._sought_again:
            # Either a seek came between the fetch and now, or the log itself has a hole here. The
            # second try tells: a hole is still there.
            self._sought_again.add(shard)
            self._consumer.seek(self._partitions[shard], expected)
            return
        self._sought_again.discard(shard)
        records = [to_record(raw) for raw in raws if raw.offset >= expected]
        if records:
            self._positions[shard] = records[-1].offset + 1
            self._latest_ms[shard] = records[-1].timestamp_ms
            self._on_records(shard, records)

    def _pass_nothing(self) -> None:
        """Go on where offsets were fetched that hold no record; looked for now and then."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._passed_s < POLL_MS / 1000:
            return
        self._passed_s = now_s
        for shard, position in list(self._positions.items()):
            reached = next_offset(self._consumer, self._partitions[shard])
            if reached is not None and reached > position:
                self._positions[shard] = reached
                self._on_records(shard, [nothing_before(reached, self._latest_ms.get(shard, 0))])

    async def _gap(self, shard: int, position: int) -> None:
        if self._positions.get(shard) != position:
            return  # sought elsewhere meanwhile
        try:
            start = (await self.start_offsets([shard]))[shard]
            end = await self.end_offset(shard)
        except LogUnavailable:
            # The next fetch fails the same way and brings us here again.
            await asyncio.sleep(0.2)
            self._consumer.seek(self._partitions[shard], position)
            return
        if self._positions.get(shard) != position:
            return
        if start <= position <= end:
            self._consumer.seek(self._partitions[shard], position)
            return
        self.follow(shard, start)
        self._on_gap(shard, position, start)


async def answered(request: Awaitable[T], timeout_s: float = REQUEST_TIMEOUT_S) -> T:
    """Wait for a broker's answer, not for ever.

    Raises:
        LogUnavailable: no answer in time, or an error of Kafka; LogRefused: for a setting.
    """
    try:
        return await asyncio.wait_for(request, timeout_s)
    except BrokersRefuse as error:
        raise LogRefused(str(error)) from error
    except (TimeoutError, KafkaError, OSError) as error:
        raise LogUnavailable(f"{type(error).__name__}: {error}") from error


async def stopped(client: AIOKafkaConsumer, limit_s: float) -> None:
    """Stop a consumer, for so long at most; whatever becomes of that is not raised.

    While a broker is away aiokafka's stop may raise CancelledError, that of a fetch which it has
    cancelled itself: taken for a cancellation of the caller's, it would end whoever stops it.
    """
    stop = asyncio.ensure_future(client.stop())
    try:
        await asyncio.wait({stop}, timeout=limit_s)
    finally:
        stop.cancel()
    if stop.done() and not stop.cancelled():
        stop.exception()  # seen
