"""One contiguous range of a shard's records in memory, indexed by session.

`start` is the first offset it can answer for, `end` the position after the last one. A reader
holds a position: while that lies in [start, end] it can be served from here, exactly; below `start`
it has to scan. The range is bounded in bytes and in age (by the records' own log-append time: no
clock), the oldest records leave first, and a seek empties it, so that it is contiguous always.
"""

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

import msgspec

from schemas.limits import SHARD_LOG_MAX_AGE_S, SHARD_LOG_MAX_BYTES

_OVERHEAD_BYTES = 200
"""What a record costs in memory beside its value, about."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record of a shard; `session_id` is its key, `timestamp_ms` its log-append time.

    `gc=False`: hundreds of thousands are held, and none can be part of a cycle.
    """

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
        self._records = _Run()
        self._sessions: dict[str, _Run] = {}

    @property
    def bytes_in_memory(self) -> int:
        """Memory of the records, about."""
        return self._bytes

    @property
    def max_bytes(self) -> int:
        """So much it may hold."""
        return self._max_bytes

    def resize(self, max_bytes: int) -> None:
        """Hold so much from now on; what is too much leaves at once."""
        self._max_bytes = max_bytes
        self._trim()

    def append(self, records: Sequence[Record]) -> None:
        """Take the next records of the shard, ascending, none of them below `end`."""
        for record in records:
            if record.offset < self.end:
                raise ValueError(f"offset {record.offset} comes after position {self.end}")
            self._records.append(record)
            session = self._sessions.get(record.session_id)
            if session is None:
                session = self._sessions[record.session_id] = _Run()
            session.append(record)
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
        session = self._sessions.get(session_id)
        return [] if session is None else session.since(position, limit)

    def _check(self, position: int) -> None:
        if position < self.start:
            raise PositionGone(f"position {position} lies before {self.start}")
        if position > self.end:
            raise PositionAhead(f"position {position} lies after {self.end}")

    def _trim(self) -> None:
        records = self._records
        if not len(records):
            return
        oldest_ms = records.last().timestamp_ms - self._max_age_ms
        while len(records) > 1 and (
            self._bytes > self._max_bytes or records.first().timestamp_ms < oldest_ms
        ):
            record = records.drop_first()
            self._bytes -= len(record.value) + _OVERHEAD_BYTES
            self.start = record.offset + 1
            session = self._sessions[record.session_id]
            session.drop_first()
            if not len(session):
                del self._sessions[record.session_id]


_offset_of = attrgetter("offset")


class _Run:
    """Records in ascending order: added at one end, dropped at the other, sought in between.

    A list, for the bisection; what was dropped stays as a head of None until it is the larger part.
    """

    __slots__ = ("_head", "_items")

    def __init__(self) -> None:
        self._items: list[Record] = []
        self._head = 0

    def __len__(self) -> int:
        return len(self._items) - self._head

    def append(self, record: Record) -> None:
        self._items.append(record)

    def first(self) -> Record:
        return self._items[self._head]

    def last(self) -> Record:
        return self._items[-1]

    def drop_first(self) -> Record:
        record = self._items[self._head]
        self._items[self._head] = None  # type: ignore[call-overload]  # its memory goes now
        self._head += 1
        if self._head * 2 > len(self._items):
            del self._items[: self._head]
            self._head = 0
        return record

    def since(self, position: int, limit: int | None) -> list[Record]:
        items = self._items
        if not len(self) or items[-1].offset < position:
            return []
        # Most readers want the last record alone.
        if len(self) == 1 or items[-2].offset < position:
            return items[-1:] if limit is None or limit > 0 else []
        first = bisect_left(items, position, lo=self._head, key=_offset_of)
        return items[first:] if limit is None else items[first : first + limit]
