"""Where the two readers of a worker are: its intake, and the read-back of its shards.

The intake's position is that behind the last delivered record. What lies between it and the log's
end may be no record at all (the marker of a transaction), which nobody can deliver: so where it has
not moved since the last look, somebody looks into the rest before that is called standing still.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from schemas.log.gap import GapTrimmed
from schemas.log.log_reader import LogReader
from schemas.process.reader_watch import ReaderWatch
from schemas.process.standstill import Seen
from schemas.topics import USER_MESSAGES
from workers.intake.ack_window import Gap
from workers.intake.intake import Intake


class Committed(Protocol):
    """Knows where delivery of a shard begins."""

    def committed(self, shard: int) -> int:
        """The offset after the last one that the group has committed."""


class IntakeWatch:
    """Looks where delivery is, as `ReaderWatch` asks."""

    def __init__(
        self,
        intake: Intake,
        group: Committed,
        reader: LogReader,
        first_record_in: Callable[[int, Gap], Awaitable[int | None]],
    ) -> None:
        self._intake = intake
        self._group = group
        self._reader = reader
        self._first_record_in = first_record_in
        self._rests: dict[int, Gap] = {}
        self._empty: dict[int, Gap] = {}

    async def look(self) -> dict[int, Seen]:
        """Give each read shard's position and its log's end. Raises LogUnavailable."""
        shards = list(self._intake.membership.positions)
        if not shards:
            return {}
        ends = await self._reader.end_offsets(shards, USER_MESSAGES)
        rests = {
            shard: Gap(self._group.committed(shard) if at is None else at, ends[shard])
            for shard, at in self._intake.membership.positions.items()
            if shard in ends
        }
        # What was trimmed unread can't be delivered, and is not waited for.
        waits = [shard for shard, rest in rests.items() if rest.start < rest.end]
        if waits:
            starts = await self._reader.start_offsets(waits, USER_MESSAGES)
            for shard, start in starts.items():
                rests[shard] = Gap(max(rests[shard].start, start), rests[shard].end)
        await asyncio.gather(*(self._look_into(shard, rest) for shard, rest in rests.items()))
        self._rests = rests
        return {
            shard: Seen(rest.end if self._empty.get(shard) == rest else rest.start, rest.end)
            for shard, rest in rests.items()
        }

    async def _look_into(self, shard: int, rest: Gap) -> None:
        moved = self._rests.get(shard, rest).start != rest.start
        if rest.start >= rest.end or moved or self._empty.get(shard) == rest:
            return
        try:
            record = await self._first_record_in(shard, rest)
        except GapTrimmed:
            return
        if record is None:
            self._empty[shard] = rest


def watches(
    intake: Intake,
    group: Committed,
    reader: LogReader,
    first_record_in: Callable[[int, Gap], Awaitable[int | None]],
    limit_s: float,
) -> list[ReaderWatch[int]]:
    """Watch both readers; either alone is a worker that answers nothing."""
    return [
        ReaderWatch("intake", IntakeWatch(intake, group, reader, first_record_in).look, limit_s),
        ReaderWatch("read-back", reader.seen, limit_s),
    ]
