"""Waits for what a connection brings, as long as there is a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from schemas.limits import ANSWER_MAX_S

JOIN_S = 30.0
ANSWER_S = ANSWER_MAX_S + 60


async def until(
    condition: Callable[[], bool],
    changed: asyncio.Event,
    running: asyncio.Task[None],
    limit_s: float,
) -> None:
    """Wait until the condition holds. Raises TimeoutError, or what ended the connection."""
    async with asyncio.timeout(limit_s):
        while not condition():
            changed.clear()
            waiting = asyncio.create_task(changed.wait())
            try:
                await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await waiting
            if running.done():
                running.result()
