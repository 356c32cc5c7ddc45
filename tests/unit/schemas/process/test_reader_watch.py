"""A watch that is cancelled ends, at whatever moment.

Seen: a gateway whose port was taken took 11 s to leave. Its watch was cancelled just as its first
look ended at once, and that took the cancellation away.
"""

import asyncio

from schemas.process.reader_watch import ReaderWatch
from schemas.process.standstill import Seen


async def test_it_ends_when_it_is_cancelled_while_a_look_ends() -> None:
    looking = asyncio.Event()

    async def look() -> dict[int, Seen]:
        looking.set()
        return {}

    for turns in range(4):
        looking.clear()
        watch = asyncio.create_task(ReaderWatch("reader", look, 3600.0).run())
        await looking.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        watch.cancel()
        done, _ = await asyncio.wait([watch], timeout=10.0)
        assert done, f"{turns} turns of the loop after its look began"
