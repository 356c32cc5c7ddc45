"""Holds a socket to its user's share: it is read on later, and nothing is refused."""

import asyncio
import time
from collections.abc import Sequence

from gateway.counters import Counters
from gateway.socket.frame_bucket import LOOK_UP_COSTS, FrameBucket
from gateway.socket.protocol import Action, GiveEarlier, Renew, StopAnswer


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

    async def rest(self, size_bytes: int, actions: Sequence[Action]) -> None:
        """Take what a frame has cost, and wait as long as the next one has to.

        Everybody else goes on in any case: the library would give the next frame at once. Who has
        asked for more than its share waits, and what it goes on saying waits in its kernel.
        """
        look_ups = sum(isinstance(action, StopAnswer | GiveEarlier | Renew) for action in actions)
        now_s = time.monotonic()
        self._bucket.take(size_bytes, now_s, LOOK_UP_COSTS * look_ups)
        wait_s = self._bucket.wait_s(now_s)
        self._counters.frames_held += wait_s > 0
        await asyncio.sleep(wait_s)
