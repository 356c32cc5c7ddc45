"""The broker's clock, as far as this process knows it. Pure.

Every record carries the broker's time, so how old it is can be told only by that clock. A record
that is acknowledged, delivered or read now came into the log before now: so the broker is at least
as far on as that record's time. The best of what was heard lately is near the truth wherever
something is read as it comes, and never beyond it: nothing seems older than it is.

What was heard is forgotten after a while, since clocks are put right. (Brokers whose clocks differ
are taken for one that is as far on as the first of them.)
"""

FORGOTTEN_AFTER_S = 60.0


class BrokerClock:
    """Tells the broker's times as times of this process's own clock."""

    def __init__(self) -> None:
        self._since_s = 0.0
        self._ahead_s: float | None = None
        self._ahead_before_s: float | None = None

    def heard(self, timestamp_ms: int, now_s: float) -> None:
        """Take the log-append time of a record that was acknowledged or read just now."""
        ahead_s = timestamp_ms / 1000 - now_s
        if self._ahead_s is None or now_s - self._since_s >= FORGOTTEN_AFTER_S:
            self._ahead_before_s, self._ahead_s, self._since_s = self._ahead_s, ahead_s, now_s
        self._ahead_s = max(self._ahead_s, ahead_s)

    def own_time_s(self, timestamp_ms: int) -> float | None:
        """Give the moment on our clock, or a later one; None: nothing is known of the broker's."""
        if self._ahead_s is None:
            return None
        before_s = self._ahead_s if self._ahead_before_s is None else self._ahead_before_s
        return timestamp_ms / 1000 - max(self._ahead_s, before_s)
