"""The broker's clock, as far as this process knows it. Pure.

Every record carries the broker's time, so how old it is can be told only by that clock. What the
broker acknowledges carries it too: at that moment it was that time there, or a little later. So the
broker is never believed to be further on than it is, and nothing seems older than it is.
"""


class BrokerClock:
    """Tells the broker's times as times of this process's own clock."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None

    def heard(self, timestamp_ms: int, now_s: float) -> None:
        """Take the log-append time of a record that was acknowledged just now."""
        self._ahead_s = timestamp_ms / 1000 - now_s

    def own_time_s(self, timestamp_ms: int) -> float | None:
        """Give the moment on our clock, or a later one; None: nothing is known of the broker's."""
        return None if self._ahead_s is None else timestamp_ms / 1000 - self._ahead_s
