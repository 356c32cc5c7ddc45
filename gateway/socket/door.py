"""Lets a handshake go on, at once or in its turn, or answers 429: before it is known who comes.

What is refused here has cost next to nothing. Limits of a session and a user are told later, by a
close code: they need to know who it is, and browsers can't read the status of a handshake.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable

from websockets.http11 import Response

from gateway.limits.arrivals import Arrivals
from gateway.limits.limiter import Limiter
from gateway.limits.rules import CONNECTION_RETRY_MS, Over, Who
from gateway.limits.settings import LimitSettings
from gateway.page.page_files import text

SPREAD = 2.0
"""Those who are sent away in one moment come back over as long again as they have to wait; but not
those of a storm, who are each told a time of his own."""


class Door:
    """Of one gateway."""

    def __init__(
        self,
        settings: LimitSettings,
        limiter: Limiter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = settings.connections
        self._arrivals = Arrivals(
            settings.connections_per_second, settings.address_connections_per_second
        )
        self._limiter = limiter
        self._clock = clock
        self.waiting = 0
        """Handshakes that wait for their turn."""

    def knock(self, address: str | None, open_now: int) -> Response | Awaitable[None] | None:
        """Give what refuses a handshake, what is waited for before it goes on, or None.

        `open_now` are the sockets that are open.
        """
        verdict = self._verdict(address, open_now)
        if isinstance(verdict, Over):
            self._limiter.tell(verdict, Who("", address=address))
            return refusal(verdict)
        return self._wait(verdict) if verdict else None

    def _verdict(self, address: str | None, open_now: int) -> Over | float:
        if 0 < self._connections <= open_now + self.waiting:
            return Over("connections", self._connections, CONNECTION_RETRY_MS)
        crowded = self._limiter.crowded(address)
        turn = crowded or self._arrivals.arrive(address, self._clock())
        return turn if isinstance(turn, Over) else turn.wait_s

    async def _wait(self, wait_s: float) -> None:
        self.waiting += 1
        try:
            await asyncio.sleep(wait_s)
        finally:
            self.waiting -= 1


def refusal(over: Over) -> Response:
    """Give what a handshake is answered that is not let in now."""
    spread = 1.0 if over.limit == "connections_per_second" else SPREAD
    wait_s = over.retry_after_ms / 1000 * random.uniform(1.0, spread)  # noqa: S311
    return text(429, f"{over.text}\n", {"Retry-After": str(math.ceil(wait_s))})
