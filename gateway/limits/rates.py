"""How fast each of many may go, kept by this gateway alone. Pure.

The same rule as `limits.lua` and `claim.lua` (GCRA: one number each, the time at which its
allowance is full again). Where Redis keeps the rate these are for the time it is away: each gateway
has its own then, and together they let more through.
"""

from collections import OrderedDict

REMEMBERED_MAX = 10_000
"""Beyond it who asked least recently is forgotten: he may ask as if he were new."""


class Rates:
    """`burst` at once and `burst` every `per_s`; 0: no limit.

    `now_s` is of any clock that only goes forward.
    """

    def __init__(self, burst: int, per_s: float = 60.0) -> None:
        self._burst = burst
        self._per_s = per_s
        self._full_at_s: OrderedDict[str, float] = OrderedDict()

    def take(self, who: str, now_s: float, cost: int = 1) -> int:
        """Take `cost` places; give the milliseconds to wait if there are not so many, else 0."""
        if not self._burst:
            return 0
        interval_s = self._per_s / self._burst
        full_at_s = max(self._full_at_s.get(who, now_s), now_s)
        wait_s = full_at_s - now_s - interval_s * max(self._burst - cost, 0)
        if wait_s > 1e-9:
            return max(1, round(wait_s * 1000))
        self._full_at_s[who] = full_at_s + interval_s * cost
        self._full_at_s.move_to_end(who)
        if len(self._full_at_s) > REMEMBERED_MAX:
            self._full_at_s.popitem(last=False)
        return 0
