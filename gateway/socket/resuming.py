"""Goes on after a cursor, exactly: everything that came after it, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.feed.delivery import frames_of
from gateway.feed.followers import cursor_prefix
from gateway.feed.reach import reach
from gateway.feed.resume import fits, may_fit, resume_position
from gateway.feed.slices import in_slices
from gateway.limits.rules import Over, Who
from gateway.socket.shared import Shared
from schemas.forgetting import without_forgotten
from schemas.log.log_scan import RangeTrimmed, ScanTooLarge
from schemas.shard_log import Record

SCAN_COSTS = 5
"""A look into the log that is not in memory, in snapshots."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """What came after the cursor; the live part goes on at `end`."""

    frames: Sequence[bytes]
    end: int


class TooMuchRead(Exception):
    """So much was read for the client's address that it must wait; `over` says how long."""

    def __init__(self, over: Over) -> None:
        super().__init__(over.text)
        self.over = over


async def resume(
    shared: Shared, who: Who, shard: int, cursor: str | None, end: int
) -> Resumed | None:
    """Give all that came after the cursor; None: a snapshot is due, for not all can be had.

    `end` is where the log ended after the client had come.

    Raises:
        LogUnavailable: the broker does not answer.
        TooMuchRead: by this address, lately.
    """
    found = None if cursor is None else await _after(shared, who, shard, cursor, end)
    if found is not None:
        shared.counters.resumed += 1
        return found
    if cursor is not None:
        shared.counters.not_recovered += 1
    _pay(shared, who, 1)
    return None


def _pay(shared: Shared, who: Who, cost: int) -> None:
    if (over := shared.limiter.read(who, cost)) is not None:
        raise TooMuchRead(over)


async def _after(shared: Shared, who: Who, shard: int, cursor: str, end: int) -> Resumed | None:
    session_id = who.session_id
    position = resume_position(cursor, epoch=shared.epoch, shard=shard, end=end)
    if position is None:
        return None
    if position < shared.tail.shard_logs[shard].start:
        _pay(shared, who, SCAN_COSTS)
    try:
        found = await reach(shared.tail, shard, position)
    except (ScanTooLarge, RangeTrimmed):
        return None
    # The records are held from here on, so they may leave the tail while they are decoded. But
    # where they end must be in it afterwards: a resume that was promised is never taken back.
    # Of what was said before the session was forgotten the client is given no word once more.
    end_of_range, records = found.end, without_forgotten(found.records(session_id))
    frames = await _frames(shared, session_id, shard, records) if may_fit(records) else None
    if frames is None or shared.tail.shard_logs[shard].start > end_of_range:
        return None
    return Resumed(frames, end_of_range)


async def _frames(
    shared: Shared, session_id: str, shard: int, records: Sequence[Record]
) -> list[bytes] | None:
    """Give the frames of a resume, made in slices of the loop, or None if they are too many."""
    prefix = cursor_prefix(shared.epoch, shard)
    frames: list[bytes] = []
    async for frame in in_slices(frames_of(records, session_id, prefix)):
        frames.append(frame)
    return frames if fits(frames) else None
