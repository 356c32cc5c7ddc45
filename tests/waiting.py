"""Waiting for what others do: a condition and a generous deadline, never a pause.

`until` and `wait_until` ask again and again, for other processes tell nobody; `Changes` is for what
the test's own tasks see, and is told. All raise AssertionError that says what did not come true.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

WITHIN_S = 120.0
"""What must come, comes within this, however busy the machine: it says only that all is lost."""
POLL_S = 0.05
TRIES = 5

Told = str | Callable[[], str]
"""What is waited for; a function is asked for it only when it did not come true."""


async def until(condition: Callable[[], object], within_s: float, what: Told) -> None:
    """Ask, in a thread, until the condition holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not await asyncio.to_thread(condition):
        assert loop.time() < end, _not_in(within_s, what)
        await asyncio.sleep(POLL_S)


def wait_until(condition: Callable[[], object], within_s: float, what: Told) -> None:
    """Ask until the condition holds, and hold up the whole thread meanwhile."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, _not_in(within_s, what)
        time.sleep(POLL_S)


async def once_within(limit_s: float, measure: Callable[[], Awaitable[float]]) -> None:
    """Measure, up to a few times, until it took less: any one time may be late."""
    took_s: list[float] = []
    while not took_s or took_s[-1] >= limit_s:
        assert len(took_s) < TRIES, f"never within {limit_s:g} s: {took_s}"
        took_s.append(await measure())


class Changes:
    """Wakes who waits for a condition that the test's own tasks make true."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Something may be true now that was not."""
        self._changed.set()

    async def until(self, condition: Callable[[], object], within_s: float, what: Told) -> None:
        """Look at the condition at each change, until it holds."""
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(_not_in(within_s, what)) from None


def _not_in(within_s: float, what: Told) -> str:
    return f"not in {within_s:g} s: {what if isinstance(what, str) else what()}"
