"""Looks into a gap of offsets: does it hold records, or nothing, as gaps normally do?

The markers of transactions and what compaction has removed leave offsets without a record. The
look is a reader of its own, because whoever has passed the gap can't be asked.
"""

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from schemas.brokers import Kafka
from schemas.log.log_reader import (
    REQUEST_TIMEOUT_S,
    START_TIMEOUT_S,
    LogUnavailable,
    answered,
    consumer,
    next_offset,
    stopped,
)

LOOKS_MAX = 10


class GapTrimmed(Exception):
    """The log no longer holds the beginning of the gap: what was in it is gone."""


async def first_record_in(kafka: Kafka, topic: str, shard: int, start: int, end: int) -> int | None:
    """Give the offset of the first record in [start, end), or None; the log must reach `end`.

    Raises:
        GapTrimmed: nobody can tell any more.
        LogUnavailable: the broker did not answer in time.
    """
    partition = TopicPartition(topic, shard)
    reader = consumer(kafka)
    try:
        await answered(reader.start(), START_TIMEOUT_S)
        reader.assign([partition])
        reader.seek(partition, start)
        for _ in range(LOOKS_MAX):
            found = await answered(reader.getmany(timeout_ms=1000, max_records=1))
            for record in found.get(partition, ()):
                return record.offset if record.offset < end else None
            if (next_offset(reader, partition) or start) >= end:
                return None
    except OffsetOutOfRangeError as error:
        raise GapTrimmed(f"shard {shard} of {topic}: {start} to {end}") from error
    finally:
        await stopped(reader, REQUEST_TIMEOUT_S)
    raise LogUnavailable(f"shard {shard} of {topic} gave no record from {start} on")
