"""The session log as the gateway holds it: the newest records of the shards it reads, in memory.

A shard is read from the first of its sessions that somebody follows here, from the log's end at
that moment, until nobody has followed one for a while. Of a shard that is read every record is
kept for some time, of all sessions: so a client that comes back after a moment is served from
memory. What a client lacks from before that is scanned (`gateway.feed.reach`).

A shard whose partition has no leader is dead for a while: it is told, its sessions wait, and the
others feel nothing of it. One that somebody waits for is read when it answers.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from itertools import count

import structlog

from gateway.feed.ends import Ends, each_by_itself
from gateway.feed.followers import Followers
from gateway.feed.shares import shares
from gateway.feed.unneeded import Unneeded
from schemas.brokers import Kafka
from schemas.log.log_reader import LogReader, LogUnavailable
from schemas.log.log_scan import LogScanner
from schemas.log.reading_pace import Fetch, rest_wait_ms
from schemas.process.reader_watch import ReaderWatch
from schemas.scan_queue import KNOWN_OFFSETS
from schemas.shard_log import Record, ShardLog
from schemas.topics import SESSION_LOG

log = structlog.get_logger(__name__)

WATCH_EVERY_S = 2.0
STARTS_EVERY = 5
"""So many looks at where the log ends for one at where it starts: that moves in minutes."""
SILENCE_LIMIT_S = 10.0
"""A broker that has not answered for so long is called unreachable."""
BEHIND_LIMIT_S = 5.0
"""A tail that has not reached an end asked so long ago is called behind."""

AWAKE = Fetch(1, 250)
"""A record is told at once. Whoever is the first in a shard waits for the fetch in flight, so that
must not be long; one that was asked at rest, where nothing came, is given up for him."""

_NEVER = float("-inf")


class Tail:
    """The shard logs, and what can be asked of the log; wakes the followers while `run` runs."""

    def __init__(
        self,
        kafka: Kafka,
        shards: int,
        followers: Followers,
        *,
        stall_limit_s: float,
        budget_bytes: int,
    ) -> None:
        self.shard_logs: list[ShardLog] = []
        self.log_starts: dict[int, int] = {}
        """The first offset that each shard still held a while ago; it only goes forward."""
        self.records_read = 0
        self._shards = range(shards)
        self._followers = followers
        self._budget_bytes = budget_bytes
        self._reader = LogReader(
            kafka,
            SESSION_LOG,
            shards,
            on_records=self._append,
            on_gap=self._gap,
            awake=AWAKE,
            rest_ms=rest_wait_ms(stall_limit_s),
        )
        self.scanner = LogScanner(kafka, SESSION_LOG, shards, bytes_an_offset=self._bytes_an_offset)
        self.ends = Ends(self._ends_and_follow)
        self._unneeded = Unneeded()
        self._reading = ReaderWatch("the tail", self._reader.seen, stall_limit_s)
        self._started = False
        self._answered_at_s: dict[int, float] = {}
        self._reached_at_s: dict[int, float] = {}
        self._dead: set[int] = set()

    async def start(self) -> None:
        """Connect, and ask every shard. Raises LogUnavailable if none answers."""
        await self._reader.start()
        self.shard_logs = [ShardLog(0) for _ in self._shards]
        self._share_out()
        if not await self._ask(self._shards):
            raise LogUnavailable("no shard answers")
        self._started = True

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
        """Say why clients can't be served now, or None: some shards work."""
        if not self._started:
            return "not started"
        if self._silent() == set(self._shards):
            return "the broker does not answer"
        if self._silent() | self._behind() == set(self._shards):
            return "the tail is behind the log"
        return self._reading.not_ready()

    def failing(self) -> str | None:
        """Name the shards that can't be served now, though others can."""
        told = [("dead", self._silent()), ("behind", self._behind() - self._silent())]
        words = [f"{what}: {_named(shards)}" for what, shards in told if shards]
        return f"shards {', '.join(words)}" if words else None

    def is_dead(self, shard: int) -> bool:
        """Whether the shard has no leader, as far as is known."""
        return shard in self._dead

    def dead(self) -> int:
        """How many shards did not answer when they were asked last."""
        return len(self._dead)

    def _silent(self) -> set[int]:
        limit_s = time.monotonic() - SILENCE_LIMIT_S
        return {shard for shard in self._shards if self._answered_at_s.get(shard, _NEVER) < limit_s}

    def _behind(self) -> set[int]:
        limit_s = time.monotonic() - (BEHIND_LIMIT_S + SILENCE_LIMIT_S)
        return {shard for shard in self._shards if self._reached_at_s.get(shard, _NEVER) < limit_s}

    def _bytes_an_offset(self, shard: int) -> float | None:
        held = self.shard_logs[shard]
        offsets = held.end - held.start
        return held.bytes_in_memory / offsets if offsets >= KNOWN_OFFSETS else None

    def bytes_in_memory(self) -> int:
        """Memory of all shard logs, about."""
        return sum(shard_log.bytes_in_memory for shard_log in self.shard_logs)

    def reads(self) -> int:
        """How many shards are read now."""
        return sum(map(self._is_read, self._shards))

    def _is_read(self, shard: int) -> bool:
        return self._reader.position(shard) is not None

    async def _ends_and_follow(self, shards: Iterable[int]) -> dict[int, int]:
        # A position may only be given in a shard that is read: what comes between the position and
        # the place where reading begins would be skipped. Nothing is waited for in between.
        ends = await self._reader.end_offsets(shards)
        for shard, end in ends.items():
            self._follow(shard, end)
        return ends

    def _follow(self, shard: int, end: int) -> None:
        """Read the shard from `end` on, if it is not read already."""
        if not self._is_read(shard):
            self.shard_logs[shard].seek(end)
            self._reader.follow(shard, end)

    def _leave_unneeded(self) -> None:
        """Read no more where nobody has followed a session for a while."""
        read = filter(self._is_read, self._shards)
        for shard in self._unneeded.after(read, self._followers.shards(), time.monotonic()):
            self._reader.unfollow(shard)
            self.shard_logs[shard].seek(self.shard_logs[shard].end)

    async def _watch(self) -> None:
        """Ask again and again: does the broker answer, does the tail keep up, what was trimmed?"""
        for turn in count():
            self._leave_unneeded()
            self._share_out()
            await self._reach(await self._ask(self._starts_due(turn)))
            await asyncio.sleep(WATCH_EVERY_S)

    def _starts_due(self, turn: int) -> set[int]:
        """Give the shards of which a look asks for the start: now and then all of them."""
        everywhere = set(self._shards)
        return everywhere - self.log_starts.keys() if turn % STARTS_EVERY else everywhere

    async def _ask(self, starts_of: Iterable[int]) -> dict[int, int]:
        """Ask for the end of every shard, and for some starts; give the ends of those that answer.

        A shard whose start is not known yet has not answered.
        """
        ends, starts = await asyncio.gather(
            each_by_itself(self._reader.end_offsets, self._shards, self._dead, self._answered),
            each_by_itself(self._reader.start_offsets, starts_of, self._dead),
        )
        self.log_starts.update(starts)
        answered = {shard: end for shard, end in ends.items() if shard in self.log_starts}
        self._answered(answered)
        dead = set(self._shards) - answered.keys()
        if dead - self._dead:
            log.error("shards do not answer", shards=_named(dead))
        elif self._dead and not dead:
            log.info("all shards answer again")
        self._dead = dead
        return answered

    def _share_out(self) -> None:
        """Give the shards that are followed now the larger part of the memory."""
        sizes = shares(self._budget_bytes, len(self._shards), self._followers.shards())
        for shard_log, max_bytes in zip(self.shard_logs, sizes, strict=True):
            shard_log.resize(max_bytes)

    def _answered(self, ends: dict[int, int]) -> None:
        """Note it at once: those that answer nothing take their time-out."""
        now_s = time.monotonic()
        for shard, end in ends.items():
            self._answered_at_s[shard] = now_s
            if self._has_reached(shard, end):
                self._reached_at_s[shard] = now_s

    def _has_reached(self, shard: int, end: int) -> bool:
        return not self._is_read(shard) or self.shard_logs[shard].end >= end

    async def _reach(self, ends: dict[int, int]) -> None:
        deadline_s = time.monotonic() + BEHIND_LIMIT_S
        while True:
            now_s = time.monotonic()
            behind = {each: end for each, end in ends.items() if not self._has_reached(each, end)}
            for shard in ends.keys() - behind.keys():
                self._reached_at_s[shard] = now_s
            if not behind or now_s > deadline_s:
                return
            ends = behind
            await asyncio.sleep(0.05)

    async def beat(self, session_id: str, shard: int, value: bytes) -> None:
        """Tell the followers as of a record that was read; it lies in no log, and none holds it.

        Whoever lacks something else is not given it: that is looked up in the log.
        """
        shard_log = self.shard_logs[shard]
        record = Record(shard_log.end, int(time.time() * 1000), session_id, value)
        self._followers.records_came(shard, [record], shard_log)

    def _append(self, shard: int, records: Sequence[Record]) -> None:
        self.records_read += len(records)
        shard_log = self.shard_logs[shard]
        shard_log.append(records)
        self._followers.records_came(shard, records, shard_log)

    def _gap(self, shard: int, from_offset: int, to_offset: int) -> None:
        log.error("log gap", shard=shard, from_offset=from_offset, to_offset=to_offset)
        self.shard_logs[shard].seek(to_offset)
        self._followers.position_lost(shard)


def _named(shards: Iterable[int]) -> str:
    return " ".join(map(str, sorted(shards)))
