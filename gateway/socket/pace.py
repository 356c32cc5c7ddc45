"""Holds a socket to its user's share: it is read on later, and nothing is refused."""

import asyncio
import time
from collections.abc import Callable, Sequence

from gateway.counters import Counters
from gateway.socket.frame_bucket import JOIN_COSTS, LOOK_UP_COSTS, PAGE_COSTS, FrameBucket
from gateway.socket.protocol import Action, GiveEarlier, Renew, StopAnswer

_COSTS: dict[type, float] = {
    StopAnswer: LOOK_UP_COSTS,
    Renew: LOOK_UP_COSTS,
    GiveEarlier: PAGE_COSTS,
}
LEFT_SEEN_WITHIN_S = 1.0
"""One that waits to join and leaves holds up no drain."""


class Pace:
    """Of one socket."""

    __slots__ = ("_bucket", "_counters")

    def __init__(self, bucket: FrameBucket, counters: Counters) -> None:
        self._bucket = bucket
        self._counters = counters

    @property
    def has_room(self) -> bool:
        """Whether the client may be heard at once."""
        return not self._bucket.wait_s(time.monotonic())

    async def join(self, is_open: Callable[[], bool]) -> bool:
        """Wait while nothing is left of the share, then take what joining costs.

        Gives whether the client is still there; for one that has left nothing is taken.
        """
        wait_s = self._bucket.wait_s(time.monotonic())
        self._counters.frames_held += wait_s > 0
        while wait_s and is_open():
            await asyncio.sleep(min(wait_s, LEFT_SEEN_WITHIN_S))
            wait_s = self._bucket.wait_s(time.monotonic())
        is_there = is_open()
        if is_there:
            self._bucket.take(0, time.monotonic(), JOIN_COSTS - 1)
        return is_there

    async def rest(self, size_bytes: int, actions: Sequence[Action]) -> None:
        """Take what a frame has cost, and wait as long as the next one has to.

        Everybody else goes on in any case: the library would give the next frame at once. Who has
        asked for more than its share waits, and what it goes on saying waits in its kernel.
        """
        extra = sum(_COSTS.get(type(action), 0.0) for action in actions)
        now_s = time.monotonic()
        self._bucket.take(size_bytes, now_s, extra)
        wait_s = self._bucket.wait_s(now_s)
        self._counters.frames_held += wait_s > 0
        await asyncio.sleep(wait_s)
