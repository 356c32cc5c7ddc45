"""Goes on after a cursor, exactly: everything that came after it, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

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

SCAN_BYTES = 128 * 1024
"""So much of the log is read in the time that a snapshot takes."""
SCAN_COSTS_LEAST = 5
"""A scan of the log, in snapshots, however short it is."""


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

    What lies before the newest records must be scanned, which an address may do so much a minute.

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
    if (over := shared.limiter.read(who)) is not None:
        raise TooMuchRead(over)
    return None


async def _after(shared: Shared, who: Who, shard: int, cursor: str, end: int) -> Resumed | None:
    session_id = who.session_id
    position = resume_position(cursor, epoch=shared.epoch, shard=shard, end=end)
    if position is None:
        return None
    held = shared.tail.shard_logs[shard]
    if position < held.start:
        read_bytes = shared.tail.scanner.will_read(shard, position, held.end)
        if not shared.limiter.may_scan(who, max(SCAN_COSTS_LEAST, ceil(read_bytes / SCAN_BYTES))):
            return None
    try:
        found = await reach(shared.tail, shard, position, session_id)
    except (ScanTooLarge, RangeTrimmed):
        return None
    # The records are held from here on, so they may leave the tail while they are decoded. But
    # where they end must be in it afterwards: a resume that was promised is never taken back.
    # Of what was said before the session was forgotten the client is given no word once more.
    records = without_forgotten(found.records)
    frames = await _frames(shared, session_id, shard, records) if may_fit(records) else None
    if frames is None or held.start > found.end:
        return None
    return Resumed(frames, found.end)


async def _frames(
    shared: Shared, session_id: str, shard: int, records: Sequence[Record]
) -> list[bytes] | None:
    """Give the frames of a resume, made in slices of the loop, or None if they are too many."""
    prefix = cursor_prefix(shared.epoch, shard)
    frames: list[bytes] = []
    async for frame in in_slices(frames_of(records, session_id, prefix)):
        frames.append(frame)
    return frames if fits(frames) else None
