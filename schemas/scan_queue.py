"""Which range of a shard is read next, and which is refused without reading. Pure.

Short ranges and long ones wait in lanes of their own, so that a client which was away for seconds
never waits for one of last night. How large a range is is estimated: its offsets times what an
offset of the shard has cost so far. Where that is unknown a range counts as short; it is read up
to a short one's bound, and then it is known.

* An estimate of twice the bound is refused at once: estimates are not that wrong.
* What was found too large stays too large, for a log only grows at its end: so nobody has it read
  again before his position has moved.

In a lane a shard is read by one at a time, for all who wait there. The short lane takes the shard
with the least to read, the long one that which has waited longest.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

SHORT_MAX_BYTES = 8 * 1024 * 1024
SURELY_TOO_LARGE = 2.0
"""Times the bound."""
OFFSET_BYTES = 500.0
"""Of a shard of which nothing is known; it refuses nothing."""
KNOWN_OFFSETS = 100
"""So many offsets must have been read before what they cost says something about others."""

Lane = Literal["short", "long"]


class Range(Protocol):
    """Somebody waits for [start, end)."""

    @property
    def start(self) -> int:
        """The first offset."""

    @property
    def end(self) -> int:
        """The offset after the last."""

    @property
    def over(self) -> bool:
        """Whether nobody waits any more."""


R = TypeVar("R", bound=Range)


class TooLarge(Exception):
    """The range holds more bytes than may be read for it."""


@dataclass(frozen=True, slots=True)
class _Full:
    """[start, end) was as much as may be read; a range that holds more than that is too large."""

    start: int
    end: int


class ScanQueue(Generic[R]):
    """The ranges that wait. `bytes_an_offset` says what is known of a shard from elsewhere."""

    def __init__(
        self, max_bytes: int, bytes_an_offset: Callable[[int], float | None] = lambda _: None
    ) -> None:
        self._max_bytes = {"short": min(SHORT_MAX_BYTES, max_bytes), "long": max_bytes}
        self._known_elsewhere = bytes_an_offset
        self._measured: dict[int, float] = {}
        self._full: dict[int, _Full] = {}
        self._waiting: dict[Lane, dict[int, list[R]]] = {"short": {}, "long": {}}
        self._reading: dict[Lane, set[int]] = {"short": set(), "long": set()}

    def max_bytes(self, lane: Lane) -> int:
        """Say how much is read for a range of the lane at most."""
        return self._max_bytes[lane]

    def add(self, shard: int, wanted: R) -> Lane:
        """Let a range wait; says in which lane. Raises TooLarge."""
        estimate = self._judged(shard, wanted.start, wanted.end)
        is_long = estimate is not None and estimate > self._max_bytes["short"]
        lane: Lane = "long" if is_long else "short"
        self._waiting[lane].setdefault(shard, []).append(wanted)
        return lane

    def will_read(self, shard: int, start: int, end: int) -> float:
        """Say how many bytes are read for this range, about; 0 if it is refused unread."""
        try:
            self._judged(shard, start, end)
        except TooLarge:
            return 0.0
        return min(self._bytes(shard, start, end), self._max_bytes["long"])

    def take(self, lane: Lane) -> tuple[int, "deque[R]"] | None:
        """Give the shard that is read next and all who wait for it there, lowest start first.

        The shard counts as being read until `done`.
        """
        self._forget_who_left(lane)
        free = [shard for shard in self._waiting[lane] if shard not in self._reading[lane]]
        if not free:
            return None
        shard = min(free, key=self._cost) if lane == "short" else free[0]
        self._reading[lane].add(shard)
        # The oldest start comes first: who asks for too much is then the first to be refused.
        waiting = sorted(self._waiting[lane].pop(shard), key=lambda wanted: wanted.start)
        return shard, deque(waiting)

    def done(self, lane: Lane, shard: int) -> None:
        """Note that the lane has read the shard."""
        self._reading[lane].discard(shard)

    def take_covered(self, shard: int, start: int, end: int) -> list[R]:
        """Give those who wait for a part of [start, end) of the shard; they wait no more."""
        covered: list[R] = []
        for waiting in self._waiting.values():
            here = waiting.pop(shard, [])
            inside = [one for one in here if start <= one.start and one.end <= end]
            covered += inside
            if rest := [one for one in here if one not in inside]:
                waiting[shard] = rest
        return covered

    # -- what reading has taught

    def measured(self, shard: int, offsets: int, read_bytes: int) -> None:
        """Note what so many offsets of the shard have cost."""
        if offsets >= KNOWN_OFFSETS:
            self._measured[shard] = read_bytes / offsets

    def outgrown(self, shard: int, lane: Lane, wanted: R, held_from: int, held_to: int) -> None:
        """Take back a range whose start has left what the lane may hold, [held_from, held_to).

        It waits in the long lane from now on. Raises TooLarge if that is where it was.
        """
        if self._max_bytes[lane] < self._max_bytes["long"]:
            self._waiting["long"].setdefault(shard, []).append(wanted)
            return
        self._full[shard] = _Full(held_from, held_to)
        raise TooLarge(f"more than {self._max_bytes[lane]} bytes")

    def _judged(self, shard: int, start: int, end: int) -> float | None:
        """Give the estimate. Raises TooLarge."""
        most = self._max_bytes["long"]
        full = self._full.get(shard)
        if full is not None and start < full.start and end >= full.end:
            raise TooLarge(f"more than {most} bytes, as was seen before")
        estimate = self._estimate(shard, start, end)
        if estimate is not None and estimate > SURELY_TOO_LARGE * most:
            raise TooLarge(f"about {estimate:.0f} bytes, more than {most}")
        return estimate

    def _estimate(self, shard: int, start: int, end: int) -> float | None:
        known = self._measured.get(shard) or self._known_elsewhere(shard)
        return None if known is None else known * (end - start)

    def _cost(self, shard: int) -> float:
        waiting = self._waiting["short"][shard]
        return self._bytes(
            shard, min(one.start for one in waiting), max(one.end for one in waiting)
        )

    def _bytes(self, shard: int, start: int, end: int) -> float:
        estimate = self._estimate(shard, start, end)
        return OFFSET_BYTES * (end - start) if estimate is None else estimate

    def _forget_who_left(self, lane: Lane) -> None:
        for shard, waiting in list(self._waiting[lane].items()):
            if all(one.over for one in waiting):
                del self._waiting[lane][shard]


def unanswered(ranges: Iterable[R]) -> list[R]:
    """Give those that somebody still waits for."""
    return [one for one in ranges if not one.over]
