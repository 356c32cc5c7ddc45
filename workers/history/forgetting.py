"""What Redis has still to forget: until it has, nothing that it holds of these sessions counts.

There are histories that lack turns, because those were given up; the next answer rebuilds such a
one. And there are sessions that were forgotten as a whole (`session_forgotten` in the log), whose
turns must not come back.
"""

import asyncio
from contextlib import suppress

from workers.history.redis_history import History, HistoryUnavailable

AGAIN_EVERY_S = 2.0


class Forgetting:
    """Sessions that Redis must forget, tried again and again while `run` runs."""

    def __init__(self, history: History, epoch: int) -> None:
        self._history = history
        self._epoch = epoch
        self._lacking: set[str] = set()
        self._forgotten: dict[str, int] = {}  # since which offset

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._lacking or session_id in self._forgotten

    def lacks_turns(self, session_id: str) -> None:
        """Have its history removed, once Redis allows it."""
        self._lacking.add(session_id)

    def forgotten(self, session_id: str, offset: int) -> None:
        """Have the session forgotten, by an event at this offset of the log."""
        self._forgotten[session_id] = max(offset, self._forgotten.get(session_id, 0))

    async def forget(self, session_id: str) -> None:
        """Have Redis forget a session that was `forgotten`, now. Raises HistoryUnavailable."""
        offset = self._forgotten.get(session_id)
        if offset is None:
            return
        await self._history.forget_session(session_id, self._epoch, offset)
        if self._forgotten.get(session_id) == offset:
            del self._forgotten[session_id]

    async def run(self) -> None:
        """Try it again, until cancelled."""
        while True:
            await asyncio.sleep(AGAIN_EVERY_S)
            with suppress(HistoryUnavailable):
                for session_id in list(self._forgotten):
                    await self.forget(session_id)
                for session_id in list(self._lacking):
                    await self._history.forget(session_id)
                    self._lacking.discard(session_id)
