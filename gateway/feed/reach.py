"""Records of a session from any position to the newest, in memory: from the tail, or by a scan.

The tail goes on while a scan reads, and its oldest records leave; so what the scan brought must
still meet the tail when it is there, else it is read again. The tail also goes on while the records
are used, so they and where they end are given together: one that is read later than the other is a
gap, or a repeat.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.feed.tail import Tail
from schemas.log.log_scan import ScanTooLarge
from schemas.shard_log import Record, ShardLog

TRIES = 3


@dataclass(frozen=True, slots=True)
class Range:
    """All records of a session from a position up to `end`, oldest first."""

    records: Sequence[Record]
    end: int


async def reach(tail: Tail, shard: int, position: int, session_id: str) -> Range:
    """Give the session's records from `position` to the log's end, as far as it was read by now.

    Raises:
        ScanTooLarge, RangeTrimmed: it can't be had.
        LogUnavailable: the broker did not answer in time.
    """
    log = tail.shard_logs[shard]
    older = ShardLog(position)  # of nothing: enough where the tail still holds the position
    for _ in range(TRIES):
        if older.end >= log.start:
            break
        older = await tail.scanner.scan(shard, position, log.end)
    if older.end < log.start:
        raise ScanTooLarge(f"shard {shard}: the tail runs ahead of every scan")
    return range_of(position, older, log, session_id)


def range_of(position: int, older: ShardLog, tail: ShardLog, session_id: str) -> Range:
    """Give the range of this moment; `older`, from the position on, meets the tail.

    It may end after it (a scan has come further, or the position has): the tail will come there.
    """
    records = older.read(session_id, position)
    if older.end <= tail.end:
        records += tail.read(session_id, older.end)
    return Range(records, max(older.end, tail.end))
