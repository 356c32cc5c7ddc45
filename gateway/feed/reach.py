"""Records of a session from any position to the newest, in memory: from the tail, or by a scan.

The tail goes on while a scan reads, and its oldest records leave; so what the scan brought must
still meet the tail when it is there, else it is read again. Between the return of `reach` and the
use of what it found nothing may be waited for.
"""

from dataclasses import dataclass

from gateway.feed.tail import Tail
from schemas.log.log_scan import ScanTooLarge
from schemas.shard_log import Record, ShardLog

TRIES = 3


@dataclass(frozen=True, slots=True)
class Reach:
    """The range from `position` to the tail's end; `older` is what the tail no longer held."""

    position: int
    older: ShardLog | None
    tail: ShardLog

    @property
    def end(self) -> int:
        """The position after the range. A scan may have come further than the tail has by now."""
        older_end = self.position if self.older is None else self.older.end
        return max(self.position, older_end, self.tail.end)

    def records(self, session_id: str) -> list[Record]:
        """Give the session's records of the whole range, oldest first."""
        if self.older is None:
            if self.position > self.tail.end:
                return []  # the tail will come to it
            return self.tail.read(session_id, self.position)
        old = self.older.read(session_id, self.position)
        if self.older.end > self.tail.end:
            return old
        return old + self.tail.read(session_id, self.older.end)


async def reach(tail: Tail, shard: int, position: int) -> Reach:
    """Bring the range from `position` to the tail's end into memory.

    Raises:
        ScanTooLarge, RangeTrimmed: it can't be had.
        LogUnavailable: the broker did not answer in time.
    """
    log = tail.shard_logs[shard]
    if position >= log.start:
        return Reach(position, None, log)
    for _ in range(TRIES):
        older = await tail.scanner.scan(shard, position, log.end)
        if older.end >= log.start:
            return Reach(position, older, log)
    raise ScanTooLarge(f"shard {shard}: the tail runs ahead of every scan")
