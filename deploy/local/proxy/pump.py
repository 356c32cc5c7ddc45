"""Carry bytes one way, when they may pass and as late as they shall, until that way ends.

What waits is bounded (HELD_BYTES and a little in the sockets' buffers): a reader that does not
read holds up the writer, as it would without a network between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

READ_BYTES = 16 * 1024
HELD_PIECES = 32
HELD_BYTES = HELD_PIECES * READ_BYTES

Held = asyncio.Queue[tuple[float, bytes]]


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(slots=True)
class Passing:
    """Whether bytes pass now, and how much later each piece arrives."""

    may: asyncio.Event = field(default_factory=_set)
    delay_s: float = 0.0


class Stopped(Exception):
    """The way ends here by order; `last` is what is still to be said."""

    def __init__(self, last: bytes) -> None:
        super().__init__(f"stopped after {len(last)} more bytes")
        self.last = last


def _all(_: bytes) -> int | None:
    return None


async def pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    passing: Passing,
    passes: Callable[[bytes], int | None] = _all,
) -> None:
    """Carry what comes from `reader` to `writer`; the end of it, too.

    `passes` is shown each piece as it goes out, and says None, or after how many bytes of it the
    way ends.

    Raises:
        ExceptionGroup: of an OSError, if a side broke, or of a Stopped.
    """
    held: Held = asyncio.Queue(HELD_PIECES)
    # Nothing waits unseen behind `drain`: it returns when the system has taken all.
    writer.transport.set_write_buffer_limits(high=0)
    async with asyncio.TaskGroup() as ends:
        ends.create_task(_take(reader, held, passing))
        ends.create_task(_give(held, writer, passing, passes))


async def _take(reader: asyncio.StreamReader, held: Held, passing: Passing) -> None:
    now = asyncio.get_running_loop().time
    piece = b"-"
    while piece:
        piece = await reader.read(READ_BYTES)
        await held.put((now() + passing.delay_s, piece))


async def _give(
    held: Held,
    writer: asyncio.StreamWriter,
    passing: Passing,
    passes: Callable[[bytes], int | None],
) -> None:
    now = asyncio.get_running_loop().time
    while True:
        due, piece = await held.get()
        if (early_s := due - now()) > 0:
            await asyncio.sleep(early_s)
        await passing.may.wait()
        if not piece:
            break
        if (last := passes(piece)) is not None:
            raise Stopped(piece[:last])
        writer.write(piece)
        await writer.drain()
    writer.write_eof()
