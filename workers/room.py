"""Which of the messages that could start do start, and which wait for room.

They start in the order in which they became ready. But a message that kills its process takes
everything along that runs there, each time it is tried, and nobody knows which one it was. So that
its neighbours lose one start to it and not two:

* A message whose start was left unended without a word after it (`Care.MUTE`) begins last, when
  none of the others with an unended start runs here any more, and one at a time; in its first
  moments, in which it died before, none of the others begins beside it. It is not known to be
  guilty, so it waits for a bounded time. Few are mute: most answers have spoken within a second.
* A message with two unended starts (`Care.ALONE`) waits until nothing else runs; after a while
  nothing else starts any more, so that its turn comes.

Pure.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from workers.held import Work
from workers.verdict import Care

ALONE_PATIENCE_S = 10.0
MUTE_PATIENCE_S = 20.0
MUTE_STEPS_BACK_S = 2.0
"""The others of a process that died fall silent a little later: they wrote `alive` after it."""
TRIAL_S = 3.0
"""Longer than it had lived without a word: who lives writes `alive` after half of this."""


@dataclass(frozen=True, slots=True)
class Running:
    """An answer of this process that has not ended."""

    care: Care
    for_s: float


class Room:
    """The messages that are ready to start, at most `max_running` of which run."""

    def __init__(self, max_running: int) -> None:
        self._max_running = max_running
        self._ready: dict[int, Work] = {}
        self._new: dict[int, Work] = {}  # ready since the last look for room

    def __contains__(self, work: object) -> bool:
        return isinstance(work, Work) and work.token in self._ready

    def __bool__(self) -> bool:
        return bool(self._ready)

    def ask(self, work: Work, now: float) -> None:
        """The message could start; again and again is the same as once."""
        if work.token not in self._ready:
            work.ready_since = now
            self._ready[work.token] = self._new[work.token] = work

    def leave(self, work: Work) -> None:
        """It starts, or can't start any more."""
        self._ready.pop(work.token, None)
        self._new.pop(work.token, None)

    def next(self, running: Collection[Running], now: float) -> list[Work]:
        """Give what starts now beside the answers that run."""
        if any(each.care is Care.ALONE for each in running):
            return []
        alone = next((work for work in self._ready.values() if work.care is Care.ALONE), None)
        if alone is not None and not running:
            return [alone]
        if alone is not None and now - alone.ready_since >= ALONE_PATIENCE_S:
            return []
        free = self._max_running - len(running)
        if free <= 0:
            return []
        if any(each.care is Care.MUTE and each.for_s < TRIAL_S for each in running):
            fresh = (work for work in self._ready.values() if work.care is Care.FRESH)
            return list(islice(fresh, free))
        return list(islice(self._unsuspected(now), free)) or self._first_mute(running, now)

    def take_waiting(self) -> list[Work]:
        """Give, once each, the messages for which there was no room."""
        waiting, self._new = list(self._new.values()), {}
        return waiting

    def _unsuspected(self, now: float) -> Iterator[Work]:
        for work in self._ready.values():
            if work.care is Care.MUTE and now - work.ready_since < MUTE_PATIENCE_S:
                continue
            if work.care is not Care.ALONE:
                yield work

    def _first_mute(self, running: Collection[Running], now: float) -> list[Work]:
        if any(each.care is not Care.FRESH for each in running):
            return []
        waiting = (work for work in self._ready.values() if work.care is Care.MUTE)
        return [work for work in islice(waiting, 1) if now - work.ready_since >= MUTE_STEPS_BACK_S]
