"""How fast one user may ask: a token bucket over all of his frames, whatever they say. Pure.

Every frame costs the loop something: a ping too, a duplicate, one that is no JSON. Nothing is
refused when the bucket is empty: the socket is read on later, so that a flood waits in the kernel
of whoever sends it. A cancel costs more, because what it stops is looked up first, a page of the
history more than that, and so does joining, for which the newest page is made.

A user's sockets share a bucket: else a flood would come anew, or on many sockets, and have a burst
again each time. Who has no name has one for each socket.
"""

from collections import OrderedDict

PER_SECOND = 50
"""If the setting says nothing else."""
BURST_S = 4.0
"""So much time's frames at once: a page that comes back sends up to 50 messages and their stops."""
BURST = BURST_S * PER_SECOND
BYTES_A_TOKEN = 8 * 1024
LOOK_UP_COSTS = 5.0
PAGE_COSTS = 20.0
JOIN_COSTS = 10.0
"""Who has as many sockets as a user may comes back with all of them at once."""
REMEMBERED_MAX = 10_000
"""Users; beyond it the next bucket of who came least recently is a full one."""


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


class FrameBuckets:
    """The buckets of a gateway."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._of_users: OrderedDict[str, FrameBucket] = OrderedDict()

    def of(self, user: str | None, now_s: float) -> FrameBucket:
        """Give the bucket for a new socket of this user; None: of who has no name."""
        found = None if user is None else self._of_users.get(user)
        if found is None:
            found = FrameBucket(now_s, self._per_second)
        if user is not None:
            self._of_users[user] = found
            self._of_users.move_to_end(user)
            if len(self._of_users) > REMEMBERED_MAX:
                self._of_users.popitem(last=False)
        return found
