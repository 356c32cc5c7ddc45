"""Reads a model's stream as the tick does: what has come, again and again."""

import asyncio
from collections.abc import AsyncIterator

from workers.model.stream import Delta, Deltas, Finished

LOOK_EVERY_S = 0.005


async def deltas_of(stream: Deltas) -> AsyncIterator[Delta]:
    """Give what the model says, up to its end. Raises ModelFault."""
    now = asyncio.get_running_loop().time
    while True:
        delta = stream.read(now())
        if delta is None:
            await asyncio.sleep(LOOK_EVERY_S)
            continue
        yield delta
        if isinstance(delta, Finished):
            return
