"""Spreads those who come at once, so that those who are there feel nothing of it. Pure.

1. So many new sockets a second are let in, and those of BURST_S at once: few are no storm. The next
   ones wait for their turn, in their order. Those of TOGETHER_S come together: they share what is
   read of the log for them. Both are short, for a handshake takes two milliseconds of the loop, and
   what everybody else waits for stands behind all that are let in together.
2. Who would wait longer than WAIT_MAX_S is sent away at once: those who wait must not become the
   load. Each is told another time, when his turn comes if all come back at theirs.
3. An address has a rate of its own, and does not wait: a crowd behind one address is a flood.
"""

from dataclasses import dataclass
from math import ceil

from gateway.limits.rates import Rates
from gateway.limits.rules import Over

WAIT_MAX_S = 2.0
"""Shorter than what a client waits for a handshake: 3 s, while an answer runs."""
AGAIN_MAX_S = 60.0
"""Nobody is sent away for longer: most of those who were before him may never come back."""
BURST_S = 0.05
TOGETHER_S = 0.05
ADDRESS_BURST_S = 10.0
"""An address may bring at once what it may bring in so long."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The socket is let in, after so long."""

    wait_s: float


class Arrivals:
    """Of one gateway; `now_s` is of any clock that only goes forward."""

    def __init__(self, per_second: int, address_per_second: int) -> None:
        self._per_second = per_second
        self._address_per_second = address_per_second
        self._next_at_s = self._again_at_s = float("-inf")
        burst = round(address_per_second * ADDRESS_BURST_S)
        self._addresses = Rates(burst, ADDRESS_BURST_S)

    def arrive(self, address: str | None, now_s: float) -> Turn | Over:
        """Take a place in the line; `address` None is not counted as one."""
        if address is not None and (wait_ms := self._addresses.take(address, now_s)):
            return Over("address_connections_per_second", self._address_per_second, wait_ms)
        if not self._per_second:
            return Turn(0.0)
        one_s = 1.0 / self._per_second
        at_s = max(self._next_at_s, now_s - max(BURST_S, one_s)) + one_s
        wait_s = at_s - now_s
        if wait_s > WAIT_MAX_S:
            self._again_at_s = max(self._again_at_s, at_s) + one_s
            wait_ms = round(1000 * min(self._again_at_s - now_s, AGAIN_MAX_S))
            return Over("connections_per_second", self._per_second, wait_ms)
        self._next_at_s = at_s
        # 1e-9: a sum of hundreds of parts of a second is not quite what it should be.
        return Turn(ceil(at_s / TOGETHER_S) * TOGETHER_S - now_s if wait_s > 1e-9 else 0.0)
