"""Long work in slices of the loop: after some milliseconds everybody else has a turn."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

SLICE_S = 0.005
T = TypeVar("T")


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Give each item; making and using them takes at most a slice before others have a turn."""
    began_s = time.monotonic()
    for item in items:
        yield item
        if time.monotonic() - began_s > SLICE_S:
            await asyncio.sleep(0)
            began_s = time.monotonic()
