"""A circuit breaker: whether an address that keeps failing is asked at all.

Closed, every call is let through. After so many failures in a row it opens: for a time nothing is
asked, so that people are told at once instead of after every time-out, and a server that comes up
again is not met by everybody. Then it is half open: one call, the probe, is let through at a
time. If that is answered the breaker closes; if it fails, it opens again.

What a call has heard counts only in the period in which it was let through (a period ends when the
breaker opens or closes): two hundred calls that fail late, when the breaker is open already, do not
hold it open, and one from before the outage does not close it. Only the probe decides.

Pure; times are seconds on any clock that only goes forward.
"""

from enum import StrEnum
from typing import NamedTuple


class Heard(StrEnum):
    """What a call says of the address it went to."""

    ANSWERED = "answered"  # a refusal too: whoever refuses lives
    FAILED = "failed"
    NOTHING = "nothing"  # given up by the caller before the address said anything


class BreakerState(StrEnum):
    """Whether calls are let through: all, none, or one at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Permit(NamedTuple):
    """One call that was let through; it is given back with what was heard, exactly once."""

    period: int
    probe: bool


class Breaker:
    """The state of one address. Every permit must come back through `ended`."""

    def __init__(self, *, failures: int, open_s: float) -> None:
        self._failures_max = failures
        self._open_s = open_s
        self._failures = 0
        self._period = 0
        self._open_until: float | None = None  # None: closed
        self._probing = False

    def state(self, now: float) -> BreakerState:
        """What the next call meets."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def ask(self, now: float) -> Permit | None:
        """A permit for one call, or None: the address is not to be asked now."""
        state = self.state(now)
        if state is BreakerState.OPEN or self._probing:
            return None
        self._probing = state is BreakerState.HALF_OPEN
        return Permit(self._period, self._probing)

    def ended(self, permit: Permit, heard: Heard, now: float) -> None:
        """The call of a permit is over."""
        if permit.period != self._period:
            return
        if permit.probe:
            self._probing = False
        if heard is Heard.ANSWERED:
            self._failures = 0
            if permit.probe:
                self._period += 1
                self._open_until = None
        elif heard is Heard.FAILED:
            self._failures += 1
            if permit.probe or self._failures >= self._failures_max:
                self._period += 1
                self._open_until = now + self._open_s

    def left_s(self, now: float) -> float:
        """How long nothing will be asked, for sure; 0.0 if the address may be asked now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - now)
