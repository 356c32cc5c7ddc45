"""What is delivered of one shard and not acknowledged yet, and when a record may be acknowledged.

Kafka knows one committed offset a partition, and the library commits past a record that is still
worked on when a later one is acknowledged. So a finished record waits in the window until all
before it are finished. The window is bounded: at the bound delivery is stopped, and it goes on at
four fifths. Pure.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from schemas.transcript import Message


class Remembering(Enum):
    """What has become of the two turns of a message that has ended."""

    NEEDED = auto()
    NOT_NEEDED = auto()  # it has no answer text, or this process has stored the turns before
    STORED = auto()  # Redis has them, or has no history that they could be missing from
    GIVEN_UP = auto()  # too many waited: the session's history is rebuilt when Redis is back


def may_be_acknowledged(
    view: Message | None, *, over_elsewhere: bool, remembering: Remembering
) -> bool:
    """Say whether a delivered message is done. Three things can make it so.

    1. It is over elsewhere: the history or `answers` know its end, which lies before the fold; or
       its session was forgotten after it was said.
    2. Its terminal was read back from the log, and there is nothing to remember of it.
    3. Its terminal was read back, and its turns are remembered or given up.

    That this process has sent a terminal is not enough: it may never appear, or not count.
    """
    if over_elsewhere:
        return True
    return view is not None and view.terminal and remembering is not Remembering.NEEDED


@dataclass(slots=True)
class _Slot:
    """A delivered record, or the gap before one: its end is then set."""

    timestamp_ms: int
    size_bytes: int
    gap_end: int | None = None
    done: bool = False


class Gap(NamedTuple):
    """Offsets [start, end) that were not delivered."""

    start: int
    end: int


class DeliveredTwice(Exception):
    """An offset came that is lower than the one before: the window can't tell what is done."""


class RecordsSkipped(Exception):
    """Records lie in a gap: accepted messages would never be answered. Another start reads them."""


class AckWindow:
    """The unacknowledged records of one shard of `user_messages`, ascending by offset.

    Offsets have gaps that hold nothing (the markers of transactions, what compaction has removed).
    But the library has been seen to skip records too. So nothing behind a gap is acknowledged
    before somebody has looked into it (`empty`).
    """

    def __init__(self, *, max_records: int, max_bytes: int) -> None:
        # Taken from its front all the time; a plain dict would look at all that was there once.
        self._slots: OrderedDict[int, _Slot] = OrderedDict()
        self._bytes = 0
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._next: int | None = None
        self.stopped = False

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def next(self) -> int | None:
        """The offset at which the next record is expected; None if nothing was delivered."""
        return self._next

    @property
    def oldest_ms(self) -> int | None:
        """Log-append time of the first unacknowledged record."""
        return next((slot.timestamp_ms for slot in self._slots.values()), None)

    def add(
        self, offset: int, timestamp_ms: int, size_bytes: int, *, begins: int | None = None
    ) -> Gap | None:
        """Take the next delivered record; gives the gap before it, if there is one.

        `begins` is where the delivery of the shard begins, for its first record.

        Raises:
            DeliveredTwice: a later one, or itself, was delivered before.
        """
        expected = self._next if self._next is not None else begins
        if expected is not None and offset < expected:
            raise DeliveredTwice(f"offset {offset} was delivered, {expected} was expected")
        gap = None
        if expected is not None and offset > expected:
            gap = Gap(expected, offset)
            self._slots[expected] = _Slot(timestamp_ms, 0, gap_end=offset)
        self._next = offset + 1
        self._slots[offset] = _Slot(timestamp_ms, size_bytes)
        self._bytes += size_bytes
        return gap

    def done(self, offset: int) -> Iterator[int]:
        """Mark a record as finished and give the offsets to acknowledge now, ascending."""
        slot = self._slots.get(offset)
        if slot is not None and slot.gap_end is None:
            slot.done = True
        return self._finished()

    def empty(self, gap: Gap) -> Iterator[int]:
        """Note that nothing lies in the gap; gives the offsets to acknowledge now, ascending."""
        slot = self._slots.get(gap.start)
        # The answer may be about a window that was given up meanwhile.
        if slot is not None and slot.gap_end == gap.end:
            slot.done = True
        return self._finished()

    def _finished(self) -> Iterator[int]:
        while self._slots:
            first = next(iter(self._slots))
            if not self._slots[first].done:
                return
            slot = self._slots.pop(first)
            self._bytes -= slot.size_bytes
            if slot.gap_end is None:
                yield first

    def clear(self) -> None:
        """Forget all: the shard was revoked, and what is unacknowledged comes again."""
        self._slots.clear()
        self._bytes = 0
        self._next = None
        self.stopped = False

    def resize(self, max_bytes: int) -> None:
        """Hold so many bytes from now on: `full` and `roomy` go by it."""
        self._max_bytes = max_bytes

    @property
    def full(self) -> bool:
        """Whether delivery is to be stopped."""
        return len(self._slots) >= self._max_records or self._bytes >= self._max_bytes

    @property
    def roomy(self) -> bool:
        """Whether a stopped delivery may go on."""
        return (
            len(self._slots) <= self._max_records * 4 // 5
            and self._bytes <= self._max_bytes * 4 // 5
        )
