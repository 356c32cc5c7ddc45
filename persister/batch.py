"""How much of what was read goes into one transaction.

Bounded in records and in bytes, so that a transaction is short and a restart repeats little. A
transaction that Postgres refuses for its content is tried again with half of the records, until
one record alone is refused: that one is the bad one.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from persister.reading import LogRecord

BATCH_MAX_RECORDS = 10_000

R = TypeVar("R", bound=LogRecord)
R_co = TypeVar("R_co", bound=LogRecord, covariant=True)


class Partition(NamedTuple):
    """A shard of a topic."""

    topic: str
    shard: int


@dataclass(slots=True)
class Pending(Generic[R]):
    """What was read of a partition and is not stored yet; `position` is the stored next offset.

    `reached` is how far was read: behind the last record there may be offsets that hold none.
    """

    position: int
    records: deque[R] = field(default_factory=deque)
    reached: int = 0

    @property
    def end(self) -> int:
        """The offset of the next record to be read."""
        last = self.records[-1].offset + 1 if self.records else self.position
        return max(last, self.reached)

    @property
    def waits(self) -> bool:
        """Whether there is anything to store: records, or a position behind offsets without."""
        return self.end > self.position


@dataclass(frozen=True, slots=True)
class Stretch(Generic[R_co]):
    """The next records of one shard: `expected` is the position before, `next` after them.

    `reached`, if it is higher, is the position after offsets behind them that hold no record.
    """

    partition: Partition
    expected: int
    records: Sequence[R_co]
    reached: int = 0

    @property
    def next(self) -> int:
        """The position when these records are stored."""
        last = self.records[-1].offset + 1 if self.records else self.expected
        return max(last, self.reached)


def take(
    pending: Mapping[Partition, Pending[R]],
    max_records: int,
    max_bytes: int,
    behind: Iterable[Stretch[R]] = (),
) -> list[Stretch[R]]:
    """Give the next batch, without removing it: the oldest records of each partition.

    At least one record is given if there is any, at most `max_records`; the bytes of the values
    stay within `max_bytes` unless a single record exceeds them. A stretch without records moves its
    position past offsets that hold none. With `behind`, a batch that was taken and not removed yet,
    the one after it is given.
    """
    stretches: list[Stretch[R]] = []
    before = {stretch.partition: stretch for stretch in behind}
    count = size = 0
    for partition, waiting in pending.items():
        stretch = before.get(partition)
        skipped = len(stretch.records) if stretch else 0
        expected = stretch.next if stretch else waiting.position
        records: list[R] = []
        for record in islice(waiting.records, skipped, None):
            size += len(record.value or b"")
            if count and (count >= max_records or size > max_bytes):
                break
            records.append(record)
            count += 1
        whole = skipped + len(records) == len(waiting.records)
        if records or (whole and waiting.end > expected):
            reached = waiting.end if whole else 0
            stretches.append(Stretch(partition, expected, records, reached))
        if not whole:
            break
    return stretches


def drop(pending: Mapping[Partition, Pending[R]], stretches: Iterable[Stretch[R]]) -> None:
    """Remove a batch that is stored, and move the positions."""
    for stretch in stretches:
        waiting = pending[stretch.partition]
        for _ in stretch.records:
            waiting.records.popleft()
        waiting.position = stretch.next


REFUSED_IN_A_ROW_MAX = 2
"""So many records may be passed because Postgres refuses them; one more is no accident."""


class RefusedInARow:
    """How many records were refused, each alone, with none stored in between."""

    def __init__(self) -> None:
        self._count = 0

    def another(self) -> bool:
        """Take note of a refused record; true if it may be passed."""
        if self._count >= REFUSED_IN_A_ROW_MAX:
            return False
        self._count += 1
        return True

    def stored(self, records: int, bad: int) -> None:
        """Take note of a stored batch, in which so many were bad and left out."""
        if records > bad:
            self._count = 0


class Limit:
    """The greatest number of records in a batch: halved by a refusal, doubled by a success."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.records = most

    def refused(self, records: int) -> bool:
        """Take note of a refused batch of so many; true if the one record in it is the bad one."""
        if records <= 1:
            return True
        self.records = max(1, records // 2)
        return False

    def stored(self) -> None:
        """Take note of a stored batch."""
        self.records = min(self._most, self.records * 2)
