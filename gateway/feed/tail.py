"""The session log as the gateway holds it: the newest records of every shard, in memory.

All shards are followed from the log's end at the start, always, and every record is kept for a
while whether or not somebody follows its session: so a client that comes back after a moment, from
this gateway or from another, is served from memory.
"""

import asyncio
from collections.abc import Sequence

import structlog

from gateway.feed.ends import Ends
from gateway.feed.followers import Followers
from schemas.log.log_reader import LogReader, LogUnavailable
from schemas.log.log_scan import LogScanner
from schemas.log.topic_check import check_topics
from schemas.process.reader_watch import ReaderWatch
from schemas.shard_log import Record, ShardLog
from schemas.topics import SESSION_LOG, USER_MESSAGES

log = structlog.get_logger(__name__)

WATCH_EVERY_S = 2.0
SILENCE_LIMIT_S = 10.0
"""A broker that has not answered for so long is called unreachable."""
BEHIND_LIMIT_S = 5.0
"""A tail that has not reached an end asked so long ago is called behind."""


class Tail:
    """The shard logs, and what can be asked of the log; wakes the followers while `run` runs."""

    def __init__(
        self, bootstrap: str, shards: int, followers: Followers, *, stall_limit_s: float
    ) -> None:
        self.shard_logs: list[ShardLog] = []
        self.log_starts: dict[int, int] = {}
        """The first offset that each shard still held a while ago; it only goes forward."""
        self._bootstrap = bootstrap
        self._shards = range(shards)
        self._followers = followers
        self._reader = LogReader(
            bootstrap, SESSION_LOG, shards, on_records=self._append, on_gap=self._gap
        )
        self.scanner = LogScanner(bootstrap, SESSION_LOG, shards)
        self.ends = Ends(self._reader.end_offsets)
        self._reading = ReaderWatch("the tail", self._reader.seen, stall_limit_s)
        self._answered_at_s: float | None = None
        self._reached_at_s = 0.0

    async def start(self) -> None:
        """Connect and follow every shard from its end.

        Raises:
            LogUnavailable: no broker answered, or a topic has settings that can't work.
        """
        await check_topics(self._bootstrap, (USER_MESSAGES, SESSION_LOG))
        await self._reader.start()
        self.log_starts = await self._reader.start_offsets(self._shards)
        ends = await self._reader.end_offsets(self._shards)
        self.shard_logs = [ShardLog(ends[shard]) for shard in self._shards]
        for shard in self._shards:
            self._reader.follow(shard, ends[shard])
        self._answered_at_s = self._reached_at_s = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Read, answer and watch until cancelled. Raises ReaderStandsStill, in a group."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._reader.run())
                tasks.create_task(self.scanner.run())
                tasks.create_task(self.ends.run())
                tasks.create_task(self._watch())
                tasks.create_task(self._reading.run())
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Close the connections to the broker."""
        await self._reader.stop()

    async def start_offset(self, shard: int) -> int:
        """Ask for the first offset that the shard still holds. Raises LogUnavailable."""
        return (await self._reader.start_offsets([shard]))[shard]

    def not_ready(self) -> str | None:
        """Say why clients can't be served now, or None."""
        now_s = asyncio.get_running_loop().time()
        if self._answered_at_s is None:
            return "not started"
        if now_s - self._answered_at_s > SILENCE_LIMIT_S:
            return "the broker does not answer"
        if now_s - self._reached_at_s > BEHIND_LIMIT_S + SILENCE_LIMIT_S:
            return "the tail is behind the log"
        return self._reading.not_ready()

    def bytes_in_memory(self) -> int:
        """Memory of all shard logs, about."""
        return sum(shard_log.bytes_in_memory for shard_log in self.shard_logs)

    async def _watch(self) -> None:
        """Ask again and again: does the broker answer, does the tail keep up, what was trimmed?"""
        loop = asyncio.get_running_loop()
        while True:
            try:
                ends = await self._reader.end_offsets(self._shards)
                self.log_starts = await self._reader.start_offsets(self._shards)
            except LogUnavailable as error:
                log.warning("the broker does not answer", error=str(error))
                await asyncio.sleep(WATCH_EVERY_S)
                continue
            self._answered_at_s = loop.time()
            await self._reach(ends)
            await asyncio.sleep(WATCH_EVERY_S)

    async def _reach(self, ends: dict[int, int]) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + BEHIND_LIMIT_S
        while any(self.shard_logs[shard].end < end for shard, end in ends.items()):
            if loop.time() > deadline_s:
                return
            await asyncio.sleep(0.05)
        self._reached_at_s = loop.time()

    def _append(self, shard: int, records: Sequence[Record]) -> None:
        shard_log = self.shard_logs[shard]
        shard_log.append(records)
        self._followers.records_came(shard, records, shard_log)

    def _gap(self, shard: int, from_offset: int, to_offset: int) -> None:
        log.error("log gap", shard=shard, from_offset=from_offset, to_offset=to_offset)
        self.shard_logs[shard].seek(to_offset)
        self._followers.position_lost(shard)
