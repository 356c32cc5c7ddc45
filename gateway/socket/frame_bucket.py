"""How fast one socket may ask: a token bucket over all of its frames, whatever they say. Pure.

Every frame costs the loop something: a ping too, a duplicate, one that is no JSON. Nothing is
refused when the bucket is empty: the socket is read on later, so that a flood waits in the kernel
of whoever sends it. A cancel costs more, because what it stops is looked up first, and so does a
page of the history.
"""

PER_SECOND = 50
"""If the setting says nothing else."""
BURST_S = 4.0
"""So much time's frames at once: a page that comes back sends up to 50 messages and their stops."""
BURST = BURST_S * PER_SECOND
BYTES_A_TOKEN = 8 * 1024
LOOK_UP_COSTS = 5.0


class FrameBucket:
    """Takes each frame after it was performed; `now_s` is of any clock that only goes forward."""

    __slots__ = ("_full_at_s", "_per_second")

    def __init__(self, now_s: float, per_second: float) -> None:
        self._full_at_s = now_s
        self._per_second = per_second

    def take(self, size_bytes: int, now_s: float, extra: float = 0.0) -> None:
        """Take what a frame of this size costs, more than there is if need be."""
        cost = 1.0 + size_bytes / BYTES_A_TOKEN + extra
        self._full_at_s = max(self._full_at_s, now_s) + cost / self._per_second

    def wait_s(self, now_s: float) -> float:
        """Give how long the next frame has to wait; 0: there is something left."""
        return max(0.0, self._full_at_s - now_s - BURST_S)
