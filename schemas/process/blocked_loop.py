"""Is the event loop blocked? Counts of its beats go in, what there is to report comes out.

Who looks is a thread, and what it counts is its own naps: a process that was stopped, or had no
CPU, overslept one nap, and that one counts no longer than a nap may last. So nobody is ended for
what the machine did to it.

Pure: the clock is an argument.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Block:
    """What became of a block that has lasted for `for_s`, to within a nap.

    It has `begun` (reported once), it is `over` the limit, or it has `ended`.
    """

    phase: Literal["begun", "over", "ended"]
    for_s: float


class BlockWatch:
    """Takes looks in the order of time.

    A block is reported from `log_s` on, and is over from `limit_s` on.
    """

    def __init__(self, *, log_s: float, limit_s: float, nap_max_s: float) -> None:
        self._log_s = log_s
        self._limit_s = limit_s
        self._nap_max_s = nap_max_s
        self._looked_s: float | None = None
        self._beats = 0
        self._for_s = 0.0
        self._reported = False

    def look(self, now_s: float, beats: int) -> Block | None:
        """Take how often the loop has beaten, and give what there is to report."""
        napped_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        self._looked_s = now_s
        if beats != self._beats:
            return self._beaten(beats)
        self._for_s += min(napped_s, self._nap_max_s)
        if self._for_s >= self._limit_s:
            return Block("over", self._for_s)
        if self._for_s >= self._log_s and not self._reported:
            self._reported = True
            return Block("begun", self._for_s)
        return None

    def _beaten(self, beats: int) -> Block | None:
        ended = Block("ended", self._for_s) if self._reported else None
        self._beats, self._for_s, self._reported = beats, 0.0, False
        return ended
