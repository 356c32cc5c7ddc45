"""Asks again and again whether a reader still reads, and ends it when it has silently stopped.

Nothing raises when a consumer's fetcher ends, its thread dies or its connection answers nothing:
the process lives on and lags. Another start is safe and cheap, so that is the cure. What decides is
`schemas.process.standstill`; a reader is asked where it is, and the broker where the log ends.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

from prometheus_client import Gauge

from schemas.log.log_reader import LogUnavailable
from schemas.process.standstill import Seen, Standstill, StandstillWatch

K = TypeVar("K", bound=Hashable)

LOOKS_A_LIMIT = 10
ASK_TIMEOUT_S = 10.0

STANDSTILL = Gauge(
    "talklog_standstill_seconds",
    "How long the worst shard of a reader has stood still though the log went on",
    ["reader"],
)


class ReaderStandsStill(Exception):
    """The reader has silently stopped: leave the process, another start reads on."""


class ReaderWatch(Generic[K]):
    """Watches one reader. `look` gives the shards that it reads, and may raise LogUnavailable."""

    def __init__(
        self, reader: str, look: Callable[[], Awaitable[Mapping[K, Seen]]], limit_s: float
    ) -> None:
        self._reader = reader
        self._look = look
        self._limit_s = limit_s
        self._every_s = limit_s / LOOKS_A_LIMIT
        self._watch = StandstillWatch[K](gap_s=limit_s / 3)
        STANDSTILL.labels(reader).set(0)

    async def run(self) -> None:
        """Watch until cancelled. Raises ReaderStandsStill."""
        while True:
            seen: Mapping[K, Seen] | None = None
            with contextlib.suppress(LogUnavailable, TimeoutError):
                # Not wait_for, which swallows a cancellation where the look ends at once.
                async with asyncio.timeout(ASK_TIMEOUT_S):
                    seen = await self._look()
            self._watch.look(time.monotonic(), seen)
            STANDSTILL.labels(self._reader).set(self._watch.longest_s)
            if standing := self._watch.standing(self._limit_s):
                raise ReaderStandsStill(self._words(standing))
            await asyncio.sleep(self._every_s)

    def not_ready(self) -> str | None:
        """Say what stands still for a third of the limit, or None: soon it will be ended."""
        standing = self._watch.standing(self._limit_s / 3)
        return self._words(standing) if standing else None

    def _words(self, standing: list[Standstill[K]]) -> str:
        worst = max(standing, key=lambda each: each.for_s)
        return (
            f"{self._reader} stands still: {len(standing)} shards, the worst for "
            f"{worst.for_s:.1f} s ({worst.shard}: {worst.what})"
        )
