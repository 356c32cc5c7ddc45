"""Where a client that brings a cursor goes on, or that it can't. Pure.

A cursor is never guessed at: of another epoch, of another shard than the session's, past the log's
end, or no cursor at all, it is answered by a snapshot.
"""

from collections.abc import Iterable

from schemas.cursor import BadCursor, parse
from schemas.shard_log import Record

RESUME_MAX_BYTES = 1024 * 1024
"""So much of frames is sent for a cursor; beyond it a snapshot is the shorter way."""
RECORDS_MAX_BYTES = 4 * RESUME_MAX_BYTES
"""Records are decoded for a cursor up to so much of them: merged, they may become a quarter."""


def resume_position(cursor: str, *, epoch: int, shard: int, end: int) -> int | None:
    """Give the position after the cursor, or None; `end` is the log's end, asked now."""
    try:
        last = parse(cursor)
    except BadCursor:
        return None
    if (last.epoch, last.shard) != (epoch, shard) or last.offset >= end:
        return None
    return last.offset + 1


def may_fit(records: Iterable[Record]) -> bool:
    """Say, before anything is decoded, whether the frames of the records may be few enough."""
    left = RECORDS_MAX_BYTES
    for record in records:
        left -= len(record.value)
        if left < 0:
            return False
    return True


def fits(frames: list[bytes]) -> bool:
    """Say whether the frames are few enough to be sent at once."""
    return sum(map(len, frames)) <= RESUME_MAX_BYTES
