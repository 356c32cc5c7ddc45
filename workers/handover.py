"""What a worker that was told to leave does with its running answers: which, and when. Pure.

It has left the group already, so others own its shards, and wait while its answers go on. An answer
that is given up costs a pause and no word, as the next owner goes on with its text; the same at the
end of the grace time, when everything is in a hurry, would cost no less. So what can end in time is
let end here, and the rest is handed over early: when the others have had time to take the shards,
and in slices, so that they are not asked for all of it at once.

Whether an answer ends in time is judged by how long those took that have ended here.
"""

from collections import deque
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")

KEPT = 500
ENOUGH = 5
"""Of so few answers that took longer than this one so far nothing is concluded."""
SURE = 0.9
SLICES = 5
FIRST_S, LAST_S = 1.0, 3.0
"""From leaving the group to the first and to the last slice."""
BEFORE_THE_END_S = 4.0
"""So long before the end of the grace time what was kept is handed over, too."""


class Durations:
    """How long the answers of this process took, the newest of them."""

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._known: deque[float] = deque(maxlen=KEPT)

    def ended(self, after_s: float) -> None:
        """Note one that has ended."""
        self._known.append(after_s)

    @property
    def mean_s(self) -> float | None:
        """How long they took on average; None: none has ended yet."""
        return sum(self._known) / len(self._known) if self._known else None

    def ends_within(self, left_s: float, age_s: float) -> bool:
        """Say whether one that has run for `age_s` ends within `left_s`, most likely."""
        if age_s + left_s >= self._longest_s:
            return True
        longer = [each for each in self._known if each > age_s]
        in_time = sum(each <= age_s + left_s for each in longer)
        return len(longer) >= ENOUGH and in_time >= SURE * len(longer)


class Slice(NamedTuple, Generic[K]):
    """What is handed over at a moment, in seconds since the group was left; None: all that is."""

    at_s: float
    keys: list[K] | None


def slices(
    ages_s: Iterable[tuple[K, float]], durations: Durations, grace_s: float
) -> list[Slice[K]]:
    """Give the hand-overs in order; in a short grace time they lie closer together."""
    ends_s = grace_s - min(BEFORE_THE_END_S, grace_s / 2)
    over = [key for key, age_s in ages_s if not durations.ends_within(ends_s, age_s)]
    first_s, last_s = min(FIRST_S, grace_s / 8), min(LAST_S, grace_s / 4)
    size = -(-len(over) // SLICES)
    parts = [over[at : at + size] for at in range(0, len(over), size or 1)]
    step_s = (last_s - first_s) / (SLICES - 1)
    early = [Slice(first_s + number * step_s, [*part]) for number, part in enumerate(parts)]
    return [*early, Slice(ends_s, None)]
