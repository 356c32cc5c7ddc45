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

    1. It is over elsewhere: the history or `answers` know its end, which lies before the fold.
    2. Its terminal was read back from the log, and there is nothing to remember of it.
    3. Its terminal was read back, and its turns are remembered or given up.

    That this process has sent a terminal is not enough: it may never appear, or not count.
    """
    if over_elsewhere:
        return True
    return view is not None and view.terminal and remembering is not Remembering.NEEDED


@dataclass(slots=True)
class _Slot:
    timestamp_ms: int
    size_bytes: int
    done: bool = False


class OffsetSkipped(Exception):
    """A record was delivered that is not the one after the last: accepted messages are missing."""


class AckWindow:
    """The unacknowledged records of one shard of `user_messages`, ascending by offset."""

    def __init__(self, *, max_records: int, max_bytes: int) -> None:
        # Taken from its front all the time; a plain dict would look at all that was there once.
        self._slots: OrderedDict[int, _Slot] = OrderedDict()
        self._bytes = 0
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._last: int | None = None
        self.stopped = False

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def next(self) -> int | None:
        """The offset that must be delivered next; None if nothing was."""
        return None if self._last is None else self._last + 1

    @property
    def oldest_ms(self) -> int | None:
        """Log-append time of the first unacknowledged record."""
        return next((slot.timestamp_ms for slot in self._slots.values()), None)

    def add(self, offset: int, timestamp_ms: int, size_bytes: int) -> None:
        """Take the next delivered record.

        Raises:
            OffsetSkipped: it does not follow the last one.
        """
        if self._last is not None and offset != self._last + 1:
            raise OffsetSkipped(f"offset {offset} was delivered after {self._last}")
        self._last = offset
        self._slots[offset] = _Slot(timestamp_ms, size_bytes)
        self._bytes += size_bytes

    def done(self, offset: int) -> Iterator[int]:
        """Mark a record as finished and give the offsets to acknowledge now, ascending."""
        slot = self._slots.get(offset)
        if slot is None:
            return
        slot.done = True
        while self._slots:
            first = next(iter(self._slots))
            if not self._slots[first].done:
                return
            self._bytes -= self._slots.pop(first).size_bytes
            yield first

    def clear(self) -> None:
        """Forget all: the shard was revoked, and what is unacknowledged comes again."""
        self._slots.clear()
        self._bytes = 0
        self._last = None
        self.stopped = False

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
