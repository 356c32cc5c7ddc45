"""Has a reader silently stopped? Samples of where it is and where the log ends go in, shards out.

A shard stands still while the log holds records that its reader has not taken and its position does
not move (*behind*), or while no fetch of it is answered although the broker answers questions
(*deaf*: seen also when nothing is written). What can't be known starts the clock anew, so that
nobody is ended for another's fault:

* the broker could not be asked: perhaps it is away, and then nobody can read;
* a shard is not in a sample: it was given to another, or reading it was stopped on purpose;
* two samples lie far apart: the process itself was stopped or had no CPU.

Pure: the clock is an argument.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Seen:
    """One shard at one moment.

    `position` is the next offset that the reader needs, None if it has taken nothing and does not
    know; `end` the offset after the log's last record, asked of the broker. `answered` is anything
    that changes with each answered fetch, None if it can't be known.
    """

    position: int | None
    end: int
    answered: int | None = None


@dataclass(frozen=True, slots=True)
class Standstill(Generic[K]):
    """A shard that has stood still for `for_s`, in words in `what`."""

    shard: K
    for_s: float
    what: str


@dataclass(slots=True)
class _Track:
    seen: Seen
    first_end: int
    moved_s: float
    """The latest moment at which nothing waited, or something was taken."""
    heard_s: float

    def take(self, seen: Seen, now_s: float) -> None:
        if seen.position != self.seen.position:
            self.first_end = seen.end
            self.moved_s = now_s
        start = self.first_end if seen.position is None else seen.position
        if seen.end <= start:
            self.moved_s = now_s
        if seen.answered is None or seen.answered != self.seen.answered:
            self.heard_s = now_s
        self.seen = seen


class StandstillWatch(Generic[K]):
    """Takes samples in the order of time; a gap of more than `gap_s` between two begins anew."""

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._tracks: dict[K, _Track] = {}
        self._looked_s: float | None = None

    def look(self, now_s: float, seen: Mapping[K, Seen] | None) -> None:
        """Take a sample: the shards that are being read, or None if the broker didn't answer."""
        late = self._looked_s is not None and now_s - self._looked_s > self._gap_s
        self._looked_s = now_s
        if seen is None or late:
            self._tracks.clear()
        for shard in self._tracks.keys() - (seen or {}).keys():
            del self._tracks[shard]
        for shard, now in (seen or {}).items():
            if shard not in self._tracks:
                self._tracks[shard] = _Track(now, now.end, now_s, now_s)
            self._tracks[shard].take(now, now_s)

    def standing(self, limit_s: float) -> list[Standstill[K]]:
        """Give the shards that stood still for `limit_s` or more at the last sample."""
        found = (self._standstill(shard, track) for shard, track in self._tracks.items())
        return [each for each in found if each.for_s and each.for_s >= limit_s]

    @property
    def longest_s(self) -> float:
        """How long the worst shard had stood still at the last sample; 0: all move."""
        return max((each.for_s for each in self.standing(0.0)), default=0.0)

    def _standstill(self, shard: K, track: _Track) -> Standstill[K]:
        now_s = self._looked_s or 0.0
        behind_s, deaf_s = now_s - track.moved_s, now_s - track.heard_s
        seen = track.seen
        if behind_s >= deaf_s:
            return Standstill(shard, behind_s, f"stands at {seen.position}, the log at {seen.end}")
        return Standstill(shard, deaf_s, f"no fetch was answered, at {seen.position}")
