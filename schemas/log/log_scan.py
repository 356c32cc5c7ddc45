"""Reads older ranges of a shard, bounded, each range once for all who wait for it.

A thousand clients that resume at once ask for nearly the same range: those of one shard that wait
when a scan begins are served by that one scan, which covers them all; and so are those that come
while it runs, if it covers them too.

Which is read next, and what is refused unread, is decided in `schemas.scan_queue`. SHORT_AT_ONCE
short scans of different shards and one long one run side by side, each with a consumer that is
kept. So a process holds at most so many bytes of them: `max_bytes`, and for each short one
SHORT_MAX_BYTES.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from schemas.brokers import Kafka
from schemas.limits import SCAN_MAX_BYTES
from schemas.log.log_reader import (
    A_TURN_RECORDS,
    POLL_MS,
    REQUEST_TIMEOUT_S,
    LogUnavailable,
    answered,
    consumer,
    next_offset,
    nothing_before,
    stopped,
    to_record,
)
from schemas.scan_queue import Lane, ScanQueue, TooLarge, unanswered
from schemas.shard_log import ShardLog

SCAN_TIMEOUT_S = 30.0
SHORT_AT_ONCE = 3


class ScanTooLarge(Exception):
    """The range holds more bytes than a scan may: send a snapshot."""


class RangeTrimmed(Exception):
    """The log no longer holds the start of the range: send a snapshot, or begin anew."""


@dataclass(slots=True, eq=False)
class _Request:
    start: int
    end: int
    answer: "asyncio.Future[ShardLog]" = field(default_factory=lambda: _future())

    @property
    def over(self) -> bool:
        return self.answer.done()


class LogScanner:
    """Serves `scan` while `run` runs; a consumer is made at the first scan that needs it.

    `bytes_an_offset` says what an offset of a shard costs, as far as somebody else knows.
    """

    def __init__(
        self,
        kafka: Kafka,
        topic: str,
        shards: int,
        *,
        max_bytes: int = SCAN_MAX_BYTES,
        bytes_an_offset: Callable[[int], float | None] = lambda _: None,
    ) -> None:
        self._partitions = [TopicPartition(topic, shard) for shard in range(shards)]
        self._kafka = kafka
        self._queue: ScanQueue[_Request] = ScanQueue(max_bytes, bytes_an_offset)
        self._wake = asyncio.Event()
        self.scans = 0

    async def scan(self, shard: int, start: int, end: int) -> ShardLog:
        """Read [start, end) and give a shard log that covers it (and perhaps more on both sides).

        `end` must not lie after the log's end. Memory is bounded by the scanner's `max_bytes`.

        Raises:
            ScanTooLarge, RangeTrimmed: this range can't be had.
            LogUnavailable: the broker did not answer in time.
        """
        if start >= end:
            return ShardLog(start)
        request = _Request(start, end)
        try:
            self._queue.add(shard, request)
        except TooLarge as error:
            raise ScanTooLarge(str(error)) from error
        self._wake.set()
        try:
            async with asyncio.timeout(SCAN_TIMEOUT_S):
                return await request.answer
        except TimeoutError as error:
            raise LogUnavailable(f"no scan of shard {shard} in {SCAN_TIMEOUT_S:.0f} s") from error

    def will_read(self, shard: int, start: int, end: int) -> float:
        """Say how many bytes a scan of the range reads, about; 0 if it is refused unread."""
        return self._queue.will_read(shard, start, end)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(SHORT_AT_ONCE):
                tasks.create_task(self._serve_lane("short"))
            tasks.create_task(self._serve_lane("long"))

    async def _serve_lane(self, lane: Lane) -> None:
        reader = _Reader(self._kafka)
        try:
            while True:
                while (taken := self._queue.take(lane)) is None:
                    self._wake.clear()
                    await self._wake.wait()
                await self._serve(reader, lane, *taken)
        finally:
            await reader.close()

    async def _serve(
        self, reader: "_Reader", lane: Lane, shard: int, waiting: "deque[_Request]"
    ) -> None:
        self.scans += 1
        try:
            async with asyncio.timeout(SCAN_TIMEOUT_S):
                log = await self._read(reader, lane, shard, waiting)
        except Exception as error:
            await reader.close()  # whatever it is in the middle of
            for request in unanswered(waiting):
                request.answer.set_exception(_named(error))
            return
        finally:
            self._queue.done(lane, shard)
            self._wake.set()
        covered = self._queue.take_covered(shard, log.start, log.end)
        for request in unanswered([*waiting, *covered]):
            request.answer.set_result(log)

    async def _read(
        self, reader: "_Reader", lane: Lane, shard: int, waiting: "deque[_Request]"
    ) -> ShardLog:
        """Read what all of `waiting` ask for; those whose start does not fit in leave it."""
        start, end = waiting[0].start, max(request.end for request in waiting)
        log = ShardLog(start, max_bytes=self._queue.max_bytes(lane), max_age_s=float("inf"))
        partition = self._partitions[shard]
        latest_ms = 0
        client = await reader.sought(partition, start)
        while waiting and log.end < end:
            came = await client.getmany(timeout_ms=POLL_MS, max_records=A_TURN_RECORDS)
            if raws := came.get(partition):
                log.append([to_record(raw) for raw in raws])
                latest_ms = raws[-1].timestamp
            reached = next_offset(client, partition)
            if reached is not None and reached > log.end:
                # The last offsets that were fetched hold no record.
                log.append([nothing_before(reached, latest_ms)])
            self._queue.measured(shard, log.end - log.start, log.bytes_in_memory)
            while waiting and waiting[0].start < log.start:
                self._leave(lane, shard, waiting.popleft(), log)
            if waiting and waiting[0].start > log.end:
                # Whoever asked for the records between has left: skip them.
                log.seek(waiting[0].start)
                client.seek(partition, log.end)
            await asyncio.sleep(0)  # `getmany` itself waits for nothing that has come already
        client.pause(partition)
        return log

    def _leave(self, lane: Lane, shard: int, request: _Request, log: ShardLog) -> None:
        """Take a request whose start the log has left out of this scan."""
        if request.over:
            return
        try:
            self._queue.outgrown(shard, lane, request, log.start, log.end)
        except TooLarge as error:
            request.answer.set_exception(ScanTooLarge(str(error)))


class _Reader:
    """A consumer that is kept from scan to scan."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._client: AIOKafkaConsumer | None = None

    async def sought(self, partition: TopicPartition, position: int) -> AIOKafkaConsumer:
        """Give the consumer, at this position of this partition. Raises LogUnavailable."""
        if self._client is None:
            self._client = consumer(self._kafka)
            await answered(self._client.start(), SCAN_TIMEOUT_S)
        self._client.assign([partition])
        self._client.seek(partition, position)
        return self._client

    async def close(self) -> None:
        """Throw the consumer away; the next scan makes another."""
        client, self._client = self._client, None
        if client is not None:
            await stopped(client, REQUEST_TIMEOUT_S)


def _future() -> "asyncio.Future[ShardLog]":
    return asyncio.get_running_loop().create_future()


def _named(error: Exception) -> Exception:
    if isinstance(error, OffsetOutOfRangeError):
        return RangeTrimmed(str(error))
    if isinstance(error, LogUnavailable):
        return error
    return LogUnavailable(f"{type(error).__name__}: {error}")
