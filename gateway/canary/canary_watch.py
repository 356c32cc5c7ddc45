"""Does what is published come back? What was sent and what has come goes in, a reason comes out.

A beat is one record on its way through the log and back. The silence begins when a beat is due and
none is missed yet, not at the last return: a process that was itself stopped has missed nothing. It
ends with any return, for what was sent before that is lost, and will not come.

Pure: the clock is an argument.
"""


class CanaryWatch:
    """Takes what happens in the order of time. `limit_s`: so long a silence is called one."""

    def __init__(self, limit_s: float) -> None:
        self.round_trip_s = 0.0
        """How long the last beat that came back was on its way; 0: none has."""
        self._limit_s = limit_s
        self._sent: dict[str, float] = {}
        self._silent_since_s: float | None = None

    def due(self, now_s: float) -> None:
        """A beat is to come back from now on, also if it can't even be sent."""
        if self._silent_since_s is None:
            self._silent_since_s = now_s

    def sent(self, beat: str, now_s: float) -> None:
        """It is being published. Those older than the limit are given up: that is the bound."""
        self._sent = {each: at for each, at in self._sent.items() if now_s - at <= self._limit_s}
        self._sent[beat] = now_s

    def came(self, beat: str, now_s: float) -> None:
        """A beat has come back; one that is none of ours, or was given up, changes nothing."""
        sent_s = self._sent.get(beat)
        if sent_s is None:
            return
        self.round_trip_s = now_s - sent_s
        self._sent = {each: at for each, at in self._sent.items() if at > sent_s}
        self._silent_since_s = now_s if self._sent else None

    def excuse(self) -> None:
        """What is missed now is not ours: the silence begins with the next beat that is due."""
        self._sent = {}
        self._silent_since_s = None

    def not_ready(self, now_s: float) -> str | None:
        """Say for how long nothing has come back, if that is longer than the limit."""
        if self._silent_since_s is None or now_s - self._silent_since_s <= self._limit_s:
            return None
        return f"the canary has not come back for {now_s - self._silent_since_s:.0f} s"
