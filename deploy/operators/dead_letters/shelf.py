"""The topic `dead_letters`: read whole, and written to when a letter was redriven."""

from __future__ import annotations

from deploy.operators.dead_letters.again import Again
from deploy.operators.dead_letters.letter import (
    REDRIVEN,
    REDRIVEN_AS,
    Letter,
    LetterNumber,
    OriginalGone,
    Stored,
    letters,
    whole,
)
from deploy.operators.tooling.log_range import LogRanges
from deploy.operators.topics import partitions_of
from schemas.brokers import Kafka
from schemas.log.log_scan import RangeTrimmed
from schemas.log.producer import LogProducer
from schemas.topics import DEAD_LETTERS, SESSION_LOG, USER_MESSAGES


async def read(kafka: Kafka) -> list[Letter]:
    """Give every letter that the log still holds.

    Raises:
        LogUnavailable, TopicsUnusable: the brokers did not answer in time.
        RangeTrimmed: the log let go of a letter while it was read.
    """
    shards = range(await partitions_of(kafka, DEAD_LETTERS))
    found: list[Stored] = []
    if not shards:
        return []
    async with LogRanges(kafka) as log:
        starts = await log.starts(DEAD_LETTERS, shards)
        ends = await log.ends(DEAD_LETTERS, shards)
        for shard in shards:
            async for records in log.read(DEAD_LETTERS, shard, starts[shard], ends[shard]):
                found += [
                    Stored(LetterNumber(shard, r.offset), r.timestamp, r.key, r.value, r.headers)
                    for r in records
                ]
    return letters(found)


async def with_original(kafka: Kafka, letter: Letter) -> Letter:
    """Read again, at its place, the original of a letter that was cut; any other as it is.

    Raises:
        OriginalGone: the log does not hold it any more.
        LogUnavailable, TopicsUnusable: the brokers did not answer in time.
    """
    if not letter.sha256:
        return letter
    gone = f"it has {len(letter.value)} of {letter.size} bytes, and {letter.source} is gone"
    if not (letter.partition.isdecimal() and letter.offset.isdecimal()):
        raise OriginalGone(gone)
    shard, offset = int(letter.partition), int(letter.offset)
    if letter.topic not in (USER_MESSAGES, SESSION_LOG) or shard >= await partitions_of(
        kafka, letter.topic
    ):
        raise OriginalGone(gone)
    async with LogRanges(kafka) as log:
        start = (await log.starts(letter.topic, [shard]))[shard]
        end = (await log.ends(letter.topic, [shard]))[shard]
        if start <= offset < end:
            try:
                async for records in log.read(letter.topic, shard, offset, offset + 1):
                    return whole(letter, records[0].value)
            except RangeTrimmed as error:
                raise OriginalGone(gone) from error
    raise OriginalGone(f"{gone}: the log holds {start} to {end}")


async def put_back(producer: LogProducer, letter: Letter, record: Again) -> str:
    """Put the record where it belongs, note that it was done, and say where it lies.

    In this order: killed in between, it is done once more and is a duplicate that the workers join;
    the other way round it would count as done and never be.

    Raises:
        SendFailed: not acknowledged in time; do it again.
    """
    offset = await producer.send(
        record.topic, record.shard, record.key, record.value, list(record.headers)
    )
    lies_at = f"{record.topic}.{record.shard}.{offset}"
    if record.message_id is not None:
        lies_at += f" {record.message_id}"
    note = [(REDRIVEN, str(letter.number).encode()), (REDRIVEN_AS, lies_at.encode())]
    await producer.send(DEAD_LETTERS, letter.number.shard, letter.key, b"", note)
    return lies_at
