"""Reads older ranges of a shard, bounded, each range once for all who wait for it.

A thousand clients that resume at once ask for nearly the same range: those of one shard that wait
when a scan begins are served by that one scan, which covers them all; and so are those that come
while it runs, if it covers them too.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from schemas.limits import SCAN_MAX_BYTES
from schemas.log.log_reader import (
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
from schemas.shard_log import ShardLog

SCAN_TIMEOUT_S = 30.0


class ScanTooLarge(Exception):
    """The range holds more bytes than a scan may: send a snapshot."""


class RangeTrimmed(Exception):
    """The log no longer holds the start of the range: send a snapshot, or begin anew."""


@dataclass(slots=True)
class _Request:
    start: int
    end: int
    answer: "asyncio.Future[ShardLog]" = field(default_factory=lambda: _future())


class LogScanner:
    """Serves `scan` while `run` runs; the consumer is made at the first scan."""

    def __init__(
        self, bootstrap: str, topic: str, shards: int, *, max_bytes: int = SCAN_MAX_BYTES
    ) -> None:
        self._partitions = [TopicPartition(topic, shard) for shard in range(shards)]
        self._bootstrap = bootstrap
        self._max_bytes = max_bytes
        self._waiting: dict[int, list[_Request]] = defaultdict(list)
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
        self._waiting[shard].append(request)
        self._wake.set()
        try:
            return await asyncio.wait_for(request.answer, SCAN_TIMEOUT_S)
        except TimeoutError as error:
            raise LogUnavailable(f"no scan of shard {shard} in {SCAN_TIMEOUT_S:.0f} s") from error

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                shard, requests = self._waiting.popitem()
                await self._serve(shard, requests)

    async def _serve(self, shard: int, requests: list[_Request]) -> None:
        self.scans += 1
        # The oldest start comes first: who asks for too much is then the first to be refused.
        waiting = deque(sorted(requests, key=lambda request: request.start))
        try:
            log = await asyncio.wait_for(self._read(shard, waiting), SCAN_TIMEOUT_S)
        except Exception as error:
            for request in _unanswered(waiting):
                request.answer.set_exception(_named(error))
            return
        for request in _unanswered(waiting):
            request.answer.set_result(log)
        self._serve_late(shard, log)

    def _serve_late(self, shard: int, log: ShardLog) -> None:
        """Give the log to those that came while it was read, if it covers their range."""
        late = self._waiting.pop(shard, [])
        covered = [one for one in late if log.start <= one.start and one.end <= log.end]
        for request in _unanswered(covered):
            request.answer.set_result(log)
        rest = [one for one in late if one not in covered]
        if rest:
            self._waiting[shard] = rest

    async def _read(self, shard: int, waiting: deque[_Request]) -> ShardLog:
        """Read what all of `waiting` ask for; those whose start does not fit in are refused."""
        start, end = waiting[0].start, max(request.end for request in waiting)
        log = ShardLog(start, max_bytes=self._max_bytes, max_age_s=float("inf"))
        partition = self._partitions[shard]
        latest_ms = 0
        reader = consumer(self._bootstrap)
        try:
            await answered(reader.start(), SCAN_TIMEOUT_S)
            reader.assign([partition])
            reader.seek(partition, start)
            while waiting and log.end < end:
                for raws in (await reader.getmany(timeout_ms=POLL_MS)).values():
                    log.append([to_record(raw) for raw in raws])
                    latest_ms = raws[-1].timestamp
                reached = next_offset(reader, partition)
                if reached is not None and reached > log.end:
                    # The last offsets that were fetched hold no record.
                    log.append([nothing_before(reached, latest_ms)])
                while waiting and waiting[0].start < log.start:
                    _refuse(waiting.popleft(), self._max_bytes)
                if waiting and waiting[0].start > log.end:
                    # Whoever asked for the records between was refused: skip them.
                    log.seek(waiting[0].start)
                    reader.seek(partition, log.end)
        finally:
            await stopped(reader, REQUEST_TIMEOUT_S)
        return log


def _refuse(request: _Request, max_bytes: int) -> None:
    if not request.answer.done():
        request.answer.set_exception(ScanTooLarge(f"more than {max_bytes} bytes"))


def _unanswered(requests: Iterable[_Request]) -> list[_Request]:
    """Give those that somebody still waits for."""
    return [request for request in requests if not request.answer.done()]


def _future() -> "asyncio.Future[ShardLog]":
    return asyncio.get_running_loop().create_future()


def _named(error: Exception) -> Exception:
    if isinstance(error, OffsetOutOfRangeError):
        return RangeTrimmed(str(error))
    if isinstance(error, LogUnavailable):
        return error
    return LogUnavailable(f"{type(error).__name__}: {error}")
