"""Which of the messages that could start do start, and which wait for room.

They start in the order in which they became ready. A message that must run alone (two of its starts
ended without a result: perhaps it kills its process) waits until nothing else runs; after a while
nothing else starts any more, so that its turn comes. Pure.
"""

from workers.held import Work

ALONE_PATIENCE_S = 10.0


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

    def next(self, running: int, now: float) -> list[Work]:
        """Give what starts now beside `running` answers, none of which must be alone."""
        alone = next((work for work in self._ready.values() if work.alone), None)
        if alone is not None and not running:
            return [alone]
        if alone is not None and now - alone.ready_since >= ALONE_PATIENCE_S:
            return []
        others = (work for work in self._ready.values() if not work.alone)
        return [work for work, _ in zip(others, range(self._max_running - running), strict=False)]

    def take_waiting(self) -> list[Work]:
        """Give, once each, the messages for which there was no room."""
        waiting, self._new = list(self._new.values()), {}
        return waiting
