"""One contiguous range of a shard's records in memory, indexed by session.

`start` is the first offset it can answer for, `end` the position after the last one. A reader
holds a
position: while that lies in [start, end] it can be served from here, exactly; below `start` it has
to scan. The range is bounded in bytes and in age (by the records' own log-append time: no clock),
the oldest records leave first, and a seek empties it, so that it is contiguous always.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from schemas.limits import SHARD_LOG_MAX_AGE_S, SHARD_LOG_MAX_BYTES

_OVERHEAD_BYTES = 200
"""What a record costs in memory beside its value, about."""


class Record(NamedTuple):
    """One record of a shard; `session_id` is its key, `timestamp_ms` its log-append time."""

    offset: int
    timestamp_ms: int
    session_id: str
    value: bytes


class PositionGone(LookupError):
    """The position lies before the range: scan the log, or send a snapshot."""


class PositionAhead(LookupError):
    """The position lies after the range: the log has not been read so far yet."""


class ShardLog:
    """The range [start, end) of one shard."""

    __slots__ = ("_bytes", "_max_age_ms", "_max_bytes", "_records", "_sessions", "end", "start")

    def __init__(
        self,
        position: int,
        *,
        max_bytes: int = SHARD_LOG_MAX_BYTES,
        max_age_s: float = SHARD_LOG_MAX_AGE_S,
    ) -> None:
        """Begin empty at `position`: the offset of the next record that will be appended."""
        self._max_bytes = max_bytes
        self._max_age_ms = max_age_s * 1000
        self.seek(position)

    def seek(self, position: int) -> None:
        """Forget everything and go on from `position`."""
        self.start = self.end = position
        self._bytes = 0
        self._records: deque[Record] = deque()
        self._sessions: dict[str, deque[Record]] = {}

    @property
    def held_bytes(self) -> int:
        """Memory of the records, about."""
        return self._bytes

    def append(self, records: Sequence[Record]) -> None:
        """Take the next records of the shard, ascending, none of them below `end`."""
        for record in records:
            if record.offset < self.end:
                raise ValueError(f"offset {record.offset} comes after position {self.end}")
            self._records.append(record)
            self._sessions.setdefault(record.session_id, deque()).append(record)
            self._bytes += len(record.value) + _OVERHEAD_BYTES
            self.end = record.offset + 1
        self._trim()

    def read(self, session_id: str, position: int, limit: int | None = None) -> list[Record]:
        """Give the session's records from `position` on, oldest first, at most `limit`.

        Raises:
            PositionGone: the range begins after `position`.
            PositionAhead: the range ends before `position`.
        """
        self._check(position)
        return _from(self._sessions.get(session_id), position, limit)

    def read_all(self, position: int, limit: int | None = None) -> list[Record]:
        """Give every session's records from `position` on; raises as `read` does."""
        self._check(position)
        return _from(self._records, position, limit)

    def _check(self, position: int) -> None:
        if position < self.start:
            raise PositionGone(f"position {position} lies before {self.start}")
        if position > self.end:
            raise PositionAhead(f"position {position} lies after {self.end}")

    def _trim(self) -> None:
        records = self._records
        if not records:
            return
        oldest_ms = records[-1].timestamp_ms - self._max_age_ms
        while len(records) > 1 and (
            self._bytes > self._max_bytes or records[0].timestamp_ms < oldest_ms
        ):
            record = records.popleft()
            self._bytes -= len(record.value) + _OVERHEAD_BYTES
            self.start = record.offset + 1
            session = self._sessions[record.session_id]
            session.popleft()
            if not session:
                del self._sessions[record.session_id]


def _from(records: deque[Record] | None, position: int, limit: int | None) -> list[Record]:
    if not records or records[-1].offset < position:
        return []
    # Readers are nearly always close to the end, so the place is sought from there.
    behind = 0
    for record in reversed(records):
        if record.offset < position:
            break
        behind += 1
    first = len(records) - behind
    stop = None if limit is None else first + limit
    return list(islice(records, first, stop))
