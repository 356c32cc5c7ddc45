"""The message rate of each session, kept by this gateway alone: for the time Redis is away. Pure.

The same rule as `claim.lua` (GCRA: one number a session, the time at which its allowance is full
again), but each gateway has its own: together they let more through than Redis would.
"""

from collections import OrderedDict

SESSIONS_MAX = 10_000
"""Beyond it the session that asked least recently is forgotten: it may ask as if it were new."""


class Rates:
    """`per_minute` 0: no limit. `now_s` is of any clock that only goes forward."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._full_at_s: OrderedDict[str, float] = OrderedDict()

    def take(self, session_id: str, now_s: float) -> int:
        """Take one message's place; give the milliseconds to wait if there is none, else 0."""
        if not self._per_minute:
            return 0
        interval_s = 60.0 / self._per_minute
        full_at_s = max(self._full_at_s.get(session_id, now_s), now_s)
        wait_s = full_at_s - now_s - interval_s * (self._per_minute - 1)
        if wait_s > 1e-9:
            return max(1, round(wait_s * 1000))
        self._full_at_s[session_id] = full_at_s + interval_s
        self._full_at_s.move_to_end(session_id)
        if len(self._full_at_s) > SESSIONS_MAX:
            self._full_at_s.popitem(last=False)
        return 0
