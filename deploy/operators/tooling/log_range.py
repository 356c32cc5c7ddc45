"""Reads ranges of the log, one after the other, as fast as they come; for rebuild and verify.

One consumer, one partition at a time, so that memory is one fetch, whatever the log's length. The
records are given as they are, key and value in bytes: a broken one must be seen as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TypeVar

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schemas.brokers import Kafka
from schemas.log.log_reader import POLL_MS, LogUnavailable, answered, consumer, next_offset
from schemas.log.log_scan import RangeTrimmed

T = TypeVar("T")
STALL_S = 30.0
"""So long without a record, short of the end, and the broker counts as gone."""
CLOSE_S = 2.0
FETCH_BYTES = 4 * 1024 * 1024


class LogRanges:
    """Use as `async with`; one reading at a time."""

    def __init__(self, kafka: Kafka) -> None:
        self._consumer = consumer(
            kafka,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=2 * FETCH_BYTES,
            check_crcs=True,
        )

    async def __aenter__(self) -> LogRanges:
        """Connect. Raises LogUnavailable."""
        await answered(self._consumer.start(), STALL_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect, for at most a few seconds."""
        with contextlib.suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(self._consumer.stop(), CLOSE_S)

    async def starts(self, topic: str, shards: Iterable[int]) -> dict[int, int]:
        """Ask for the first offsets that the shards hold. Raises LogUnavailable."""
        wanted = [TopicPartition(topic, shard) for shard in shards]
        return _by_shard(await answered(self._consumer.beginning_offsets(wanted)))

    async def ends(self, topic: str, shards: Iterable[int]) -> dict[int, int]:
        """Ask, now, for the offsets after the shards' last records. Raises LogUnavailable."""
        wanted = [TopicPartition(topic, shard) for shard in shards]
        return _by_shard(await answered(self._consumer.end_offsets(wanted)))

    async def at(self, topic: str, shards: Sequence[int], timestamp_ms: int) -> dict[int, int]:
        """Ask for the first offsets that are not older; the end where there is none."""
        ends = await self.ends(topic, shards)
        asked = {TopicPartition(topic, shard): timestamp_ms for shard in shards}
        found = await answered(self._consumer.offsets_for_times(asked))
        places = {each.partition: place.offset for each, place in found.items() if place}
        return ends | places

    async def read(
        self, topic: str, shard: int, start: int, end: int
    ) -> AsyncIterator[list[ConsumerRecord]]:
        """Give the records of [start, end), some at a time.

        Raises:
            RangeTrimmed: the log's start has passed the position.
            LogUnavailable: nothing came for STALL_S.
        """
        partition = TopicPartition(topic, shard)
        self._consumer.assign([partition])
        self._consumer.seek(partition, start)
        loop = asyncio.get_running_loop()
        position, heard_at = start, loop.time()
        while position < end:
            try:
                fetched = await self._consumer.getmany(timeout_ms=POLL_MS)
            except OffsetOutOfRangeError as error:
                raise RangeTrimmed(f"{topic}/{shard} no longer holds {position}") from error
            except KafkaError as error:
                raise LogUnavailable(f"{type(error).__name__}: {error}") from error
            for records in fetched.values():
                position, heard_at = records[-1].offset + 1, loop.time()
                wanted = records if position <= end else [r for r in records if r.offset < end]
                if wanted:
                    yield wanted
            # The last offsets may hold no record: a transaction's marker, what compaction took.
            position = max(position, next_offset(self._consumer, partition) or position)
            if loop.time() - heard_at > STALL_S:
                raise LogUnavailable(f"nothing of {topic}/{shard} for {STALL_S:.0f} s")


async def one_ahead(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """Give the items; each is fetched while whoever asks uses the one before."""
    following = asyncio.ensure_future(anext(items, None))
    try:
        while (item := await following) is not None:
            following = asyncio.ensure_future(anext(items, None))
            yield item
    finally:
        following.cancel()


def _by_shard(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {each.partition: offset for each, offset in offsets.items()}
