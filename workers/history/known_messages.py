"""Which messages a session has had, as far as it is known here without asking. Pure.

Postgres names those of which it had heard up to some offset of the log; the fold at hand has all
that came since, if it began before that offset and has forgotten nothing behind it. What the fold
has of a session is noted each time that the session is asked about: it may forget it then. So a
session that is talked in is asked for once.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from workers.intake.actions import MessageKey
from workers.intake.shard_fold import AtHand

SESSIONS_MAX = 1_000
MESSAGES_MAX = 100
"""Of a session: one that has had more is asked for with each message. About 9 MB in all."""


@dataclass(slots=True)
class _Known:
    ids: set[str]
    to: int  # the offset before which every event of the session names one of them


class KnownMessages:
    """The messages of the sessions that were asked about last."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Known] = OrderedDict()

    def lacks(self, key: MessageKey, at_hand: AtHand) -> bool:
        """Whether its session has surely had no such message; False: that is not known."""
        known = self._sessions.pop(key.session_id, None)
        if known is None or not at_hand.goes_on_from(known.to):
            return False
        self._keep(key.session_id, known.ids, at_hand)
        return key.message_id not in known.ids

    def learn(self, session_id: str, ids: Collection[str], at_hand: AtHand) -> None:
        """Note what messages a session has had, beside those that the fold has."""
        self._keep(session_id, set(ids), at_hand)
        if len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)

    def forget(self, session_id: str) -> None:
        """Know nothing of a session."""
        self._sessions.pop(session_id, None)

    def _keep(self, session_id: str, ids: set[str], at_hand: AtHand) -> None:
        ids.update(message.message_id for message in at_hand.messages)
        if len(ids) <= MESSAGES_MAX:
            self._sessions[session_id] = _Known(ids, at_hand.position)
