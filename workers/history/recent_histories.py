"""The histories of the sessions that were answered last, as Redis has them. Pure.

Only the owner of a shard writes its sessions' histories. So what it has read or merged there once
is what is there, until another owner comes between: then the fold at hand has begun anew, or it has
read the end of a message that is not in the history.
"""

from collections import OrderedDict
from collections.abc import Sequence
from sys import getsizeof

from workers.history.prompt import Turn
from workers.history.rebuild import text_dropped
from workers.history.turns import merged
from workers.intake.shard_fold import AtHand

SESSIONS_MAX = 1_000
BYTES_MAX = 32 * 1024 * 1024
TURN_BYTES = 300
"""What a turn takes beside its text, about."""


class _Recent:
    def __init__(self, turns: Sequence[Turn], to: int) -> None:
        self.turns = turns
        self.to = to  # the offset before which every end is in the turns, or was never to be
        self.bytes = sum(getsizeof(turn.content) + TURN_BYTES for turn in turns)


class RecentHistories:
    """Of one process; the session used longest ago goes first."""

    def __init__(self, budget_tokens: int) -> None:
        self._budget_tokens = budget_tokens
        self._sessions: OrderedDict[str, _Recent] = OrderedDict()
        self._bytes = 0

    def find(self, session_id: str, at_hand: AtHand | None) -> Sequence[Turn] | None:
        """Give a session's turns in order; None: Redis must be asked."""
        recent = self._take(session_id)
        if recent is None or at_hand is None or not at_hand.goes_on_from(recent.to):
            return None
        if not _ended_since(at_hand, recent.to) <= {turn.message_id for turn in recent.turns}:
            return None
        recent.to = at_hand.position
        self._put(session_id, recent)
        return recent.turns

    def loaded(self, session_id: str, turns: Sequence[Turn], at_hand: AtHand | None) -> None:
        """Note what Redis has; `at_hand` is of before it was asked, so that nothing is missed."""
        self.forget(session_id)
        if at_hand is not None:
            self._put(session_id, _Recent(turns, at_hand.position))

    def stored(self, session_id: str, turns: Sequence[Turn]) -> None:
        """Note what was merged there into a history that is known here."""
        recent = self._take(session_id)
        if recent is not None:
            all_turns = merged(recent.turns, turns, self._budget_tokens)
            self._put(session_id, _Recent(all_turns, recent.to))

    def forget(self, session_id: str) -> None:
        """Know nothing of a session: what Redis has of it has changed, or may have."""
        self._take(session_id)

    def _take(self, session_id: str) -> _Recent | None:
        recent = self._sessions.pop(session_id, None)
        if recent is not None:
            self._bytes -= recent.bytes
        return recent

    def _put(self, session_id: str, recent: _Recent) -> None:
        self._sessions[session_id] = recent
        self._bytes += recent.bytes
        while len(self._sessions) > SESSIONS_MAX or self._bytes > BYTES_MAX:
            self._take(next(iter(self._sessions)))


def _ended_since(at_hand: AtHand, offset: int) -> set[str]:
    """Give the messages with a text that ended at the offset or behind it."""
    return {
        message.message_id
        for message in at_hand.messages
        if message.terminal
        and message.last is not None
        and message.last.offset >= offset
        and (message.text or text_dropped(message))
    }
