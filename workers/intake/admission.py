"""Which of the messages that could start do start, and which wait for room.

They start in the order in which they became ready. But a message that kills its process takes
everything along that runs there, each time it is tried, and nobody knows which one it was. So that
its neighbours lose one start to it and not two:

* Suspect is what died right after its start, before anything more was heard of it (`Care.MUTE`);
  most of all what had started last. Suspects begin first, each when the one before has spoken or
  outlived its first moments, and the others with an unended start after them, when no shard waits
  for its fold and no start of another process is still mute: it may turn out to be a suspect. All
  step back a little, since not all is delivered at once. Few are suspect: most answers have spoken
  within a second.
* A suspect that comes when others of those run already waits for their end. Every wait is bounded.
* A message with two unended starts (`Care.ALONE`) waits until nothing else runs; after a while
  nothing else starts any more, so that its turn comes.

Pure.
"""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

from workers.intake.decision import Care
from workers.intake.state import Work

ALONE_PATIENCE_S = 10.0
SUSPECT_STEPS_BACK_S = 0.7
SUSPECT_PATIENCE_S = 10.0
SPOKE_STEPS_BACK_S = 1.0
SPOKE_PATIENCE_S = 8.0
TRIAL_S = 2.0
"""Longer than a suspect had lived: who lives writes `alive` after 1.5 s."""


@dataclass(frozen=True, slots=True)
class Running:
    """An answer of this process that has not ended."""

    care: Care
    for_s: float
    mute: bool  # nothing of it was read back but its start


class Room:
    """The messages that are ready to start, at most `max_running` of which run."""

    def __init__(self, max_running: int) -> None:
        self._max_running = max_running
        self._ready: dict[int, Work] = {}
        self._new: dict[int, Work] = {}  # ready since the last look for room
        self._expected: dict[int, Work] = {}  # mute at another process, perhaps soon a suspect

    def __contains__(self, work: object) -> bool:
        return isinstance(work, Work) and work.token in self._ready

    def __bool__(self) -> bool:
        return bool(self._ready)

    def ask(self, work: Work, now: float) -> None:
        """The message could start; again and again is the same as once."""
        self._expected.pop(work.token, None)
        if work.token not in self._ready:
            work.ready_since = now
            self._ready[work.token] = self._new[work.token] = work

    def expect(self, work: Work) -> None:
        """It has started elsewhere and was not heard of since: it may come as a suspect."""
        self._expected[work.token] = work

    def leave(self, work: Work) -> None:
        """It starts, or can't start any more."""
        self._ready.pop(work.token, None)
        self._new.pop(work.token, None)
        self._expected.pop(work.token, None)

    def next(self, running: Collection[Running], now: float, *, folding: bool) -> list[Work]:
        """Give what starts now beside the answers that run; `folding`: some shard still is."""
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
        trial = any(
            each.care is Care.MUTE and each.mute and each.for_s < TRIAL_S for each in running
        )
        suspect = None if trial else self._suspect(running, now)
        suspects = any(work.care is Care.MUTE for work in self._ready.values())
        held = trial or suspects or bool(self._expected) or folding
        starting = (
            work
            for work in self._ready.values()
            if work is suspect or self._may_begin(work, held, now)
        )
        return list(islice(starting, free))

    def take_waiting(self) -> list[Work]:
        """Give, once each, the messages for which there was no room."""
        waiting, self._new = list(self._new.values()), {}
        return waiting

    def _suspect(self, running: Collection[Running], now: float) -> Work | None:
        """Give the suspect that begins now, if one does: that which had started last."""
        mute = [work for work in self._ready.values() if work.care is Care.MUTE]
        if not mute or any(each.care is Care.SPOKE for each in running):
            return None
        last = max(mute, key=lambda work: work.mute_since_ms)
        return last if now - last.ready_since >= SUSPECT_STEPS_BACK_S else None

    def _may_begin(self, work: Work, held: bool, now: float) -> bool:
        waited_s = now - work.ready_since
        match work.care:
            case Care.FRESH:
                return True
            case Care.SPOKE:
                return waited_s >= (SPOKE_PATIENCE_S if held else SPOKE_STEPS_BACK_S)
            case Care.MUTE:
                return waited_s >= SUSPECT_PATIENCE_S
        return False
