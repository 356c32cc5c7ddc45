"""Membership in the consumer group, and the records of the shards that it gives us.

The group only says who reads what. Where to read from is in Postgres: a shard that was just given
is paused until its position is known, and a record that is not the next one is never passed on. The
committed offsets are for tools that watch lag.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from persister.batch import Partition
from schemas.brokers import Kafka
from schemas.log import fetch_in_flight
from schemas.log.kafka_client import Consumer
from schemas.log.log_reader import (
    CLIENT_TIMEOUT_S,
    REQUEST_TIMEOUT_S,
    START_TIMEOUT_S,
    answered,
    consumer,
    next_offset,
    offsets_of,
    stopped,
)
from schemas.log.reading_pace import Fetch, ReadingPace
from schemas.log.topic_check import check_topics
from schemas.process.standstill import Seen
from schemas.topics import PERSISTER_GROUP, SESSION_LOG, USER_MESSAGES

FETCH_MAX_BYTES = 8 * 1024 * 1024
"""With one answer in use and one fetched ahead, what a broker's records take in memory."""
POLL_INTERVAL_MAX_MS = 24 * 3600 * 1000
"""While Postgres is away nothing is polled; leaving the group then would help nobody."""
POLLED_WITHIN_S = 1.0
"""Who has not polled for so long after its last fetch could have come back waits for Postgres."""
COMMIT_TIMEOUT_S = 1.0
CLOSE_TIMEOUT_S = 2.0


class Group:
    """One membership, from `start` to `close`.

    `writing` is held by whoever writes rows: shards are given back only when it is free (for some
    seconds at most: the positions in Postgres fence whoever comes too late).
    """

    def __init__(self, kafka: Kafka, writing: asyncio.Lock, *, awake: Fetch, rest_ms: int) -> None:
        """`awake`: what a fetch waits for while records come; `rest_ms`: so long while none do."""
        self.assigned: frozenset[Partition] = frozenset()
        self.joined = False
        self.generation = 0
        """Changes whenever the assignment does: what was read before is no longer ours."""
        self._polled_s = 0.0
        self._kafka = kafka
        self._writing = writing
        self._wait_ms = awake.max_wait_ms
        self._pace = ReadingPace(awake, rest_ms=rest_ms)
        self._positions: dict[Partition, int] = {}
        self._sought_again: set[Partition] = set()
        # Questions go over a connection of their own: behind the long poll each would wait for it.
        self._asker = consumer(kafka)
        self._consumer = Consumer(
            kafka,
            group_id=PERSISTER_GROUP,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_uncommitted",
            fetch_min_bytes=awake.min_bytes,
            fetch_max_wait_ms=awake.max_wait_ms,
            fetch_max_bytes=FETCH_MAX_BYTES,
            max_poll_interval_ms=POLL_INTERVAL_MAX_MS,
            session_timeout_ms=6000,
            heartbeat_interval_ms=1500,
            request_timeout_ms=int(CLIENT_TIMEOUT_S * 1000),
            metadata_max_age_ms=30_000,
            # Both topics of a shard go to one member: only it can tell that an answer is lost.
            partition_assignment_strategy=(RangePartitionAssignor,),
        )

    async def start(self) -> None:
        """Connect and join, if the topics are such as can be stored. Raises LogUnavailable."""
        await check_topics(self._kafka, (USER_MESSAGES, SESSION_LOG))
        listener = _Listener(self)
        self._consumer.subscribe(topics=[USER_MESSAGES, SESSION_LOG], listener=listener)
        await answered(self._asker.start(), START_TIMEOUT_S)
        await answered(self._consumer.start(), START_TIMEOUT_S)

    async def close(self) -> None:
        """Leave the group and disconnect, for at most a few seconds."""
        clients = (self._consumer, self._asker)
        await asyncio.gather(*(stopped(each, CLOSE_TIMEOUT_S) for each in clients))

    def read_from(self, partition: Partition, position: int) -> None:
        """Read the shard from `position` on."""
        self._positions[partition] = position
        self._consumer.seek(_of(partition), position)
        self._consumer.resume(_of(partition))

    async def poll(self) -> tuple[dict[Partition, list[ConsumerRecord]], dict[Partition, int]]:
        """Wait a while for records and give them; second, positions that the log doesn't hold.

        Raises:
            KafkaError: this membership can't go on; make a new one.
        """
        try:
            fetched = await self._consumer.getmany(timeout_ms=self._wait_ms)
            self._polled_s = time.monotonic()
        except OffsetOutOfRangeError as error:
            gone = {Partition(*tp): position for tp, position in error.args[0].items()}
            return {}, {each: at for each, at in gone.items() if self._positions.get(each) == at}
        except NoOffsetForPartitionError:
            # A shard was assigned a moment ago and has no position yet.
            return {}, {}
        given = {
            partition: records
            for tp, raws in fetched.items()
            if (records := self._next_ones(partition := Partition(*tp), raws))
        }
        self._pass_nothing()
        fetch_in_flight.fetched(self._consumer, self._pace, records=bool(fetched))
        return given, {}

    def reached(self, partition: Partition) -> int:
        """Give the position after all that was polled, and after offsets that hold no record."""
        return self._positions.get(partition, 0)

    async def starts(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask for the first offsets that the log holds; none of a shard without a leader.

        Raises LogUnavailable.
        """
        return _by_partition(await offsets_of(self._asker, map(_of, partitions), "starts"))

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Ask, now, for the offsets after the last records, as `starts` does."""
        return _by_partition(await offsets_of(self._asker, map(_of, partitions), "ends"))

    async def seen(self) -> dict[Partition, Seen]:
        """Ask where the log ends, and say where each shard that is read is. Raises LogUnavailable.

        While Postgres is waited for nothing is polled, and nothing is said to be read.
        """
        waits = time.monotonic() - self._polled_s > self._wait_ms / 1000 + POLLED_WITHIN_S
        read = [] if waits else list(self._positions)
        ends = await self.ends(read) if read else {}
        return {
            each: Seen(at, ends[each], self._consumer.last_poll_timestamp(_of(each)) or 0)
            for each in read
            if each in ends
            and (at := self._positions.get(each)) is not None
            and each in self.assigned
        }

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the group how far we are, as well as it can be done: nothing depends on it."""
        ours = {_of(each): at for each, at in positions.items() if each in self.assigned}
        if ours:
            with contextlib.suppress(KafkaError, TimeoutError, IllegalStateError, ValueError):
                await asyncio.wait_for(self._consumer.commit(ours), COMMIT_TIMEOUT_S)

    def _next_ones(self, partition: Partition, raws: list[ConsumerRecord]) -> list[ConsumerRecord]:
        position = self._positions.get(partition)
        if position is None:
            return []
        if raws[0].offset != position and partition not in self._sought_again:
            # Either this was fetched before the last seek, or the log itself has a hole here. The
            # second try tells: a hole is still there.
            self._sought_again.add(partition)
            self._consumer.seek(_of(partition), position)
            return []
        self._sought_again.discard(partition)
        records = [raw for raw in raws if raw.offset >= position]
        if records:
            self._positions[partition] = records[-1].offset + 1
        return records

    def _pass_nothing(self) -> None:
        """Go on where offsets were fetched that hold no record: markers of transactions, holes."""
        for partition, position in self._positions.items():
            reached = next_offset(self._consumer, _of(partition))
            if reached is not None and reached > position:
                self._positions[partition] = reached

    async def _revoked(self) -> None:
        self._change(frozenset())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REQUEST_TIMEOUT_S), self._writing:
                pass

    def _given(self, partitions: Iterable[TopicPartition]) -> None:
        self._change(frozenset(Partition(*each) for each in partitions))
        self.joined = True
        for each in self.assigned:
            # A position must exist even while paused: the fetcher would look for a committed one.
            self._consumer.seek(_of(each), 0)
            self._consumer.pause(_of(each))
        fetch_in_flight.followed(self._consumer, self._pace)

    def _change(self, assigned: frozenset[Partition]) -> None:
        self.generation += 1
        self.assigned = assigned
        self._positions.clear()
        self._sought_again.clear()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, group: Group) -> None:
        self._group = group

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._group._revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._group._given(assigned)


def _of(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.shard)


def _by_partition(offsets: Mapping[Any, int]) -> dict[Partition, int]:
    return {Partition(*each): offset for each, offset in offsets.items()}
