"""One connection through a link: its two ways, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from deploy.local.proxy.pump import Passing, Stopped, pump

CONNECT_LIMIT_S = 5.0
LAST_WORDS_S = 5.0
_NO_LINGER = struct.pack("ii", 1, 0)


class Connection:
    """A client's connection, and the one to the server that is made for it; `task` carries it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        task: asyncio.Task[None],
    ) -> None:
        self._reader = reader
        self._near = writer
        self._far: asyncio.StreamWriter | None = None
        self._task = task

    async def carry(
        self,
        host: str,
        port: int,
        passing: Passing,
        up: Callable[[bytes], int | None],
        down: Callable[[bytes], int | None],
    ) -> None:
        """Carry both ways until both have ended, one breaks, or it is cut."""
        try:
            await passing.may.wait()  # what falls into a hole does not reach the server
            async with asyncio.timeout(CONNECT_LIMIT_S):
                answers, far = await asyncio.open_connection(host, port)
            self._far = far
            async with asyncio.TaskGroup() as ways:
                ways.create_task(pump(self._reader, far, passing, up))
                ways.create_task(pump(answers, self._near, passing, down))
            self._near.close()
            far.close()
        except* Stopped as stopped:
            # The client first: it must not hear the answer to what the server hears now.
            reset(self._near)
            await _say_last(far, stopped)
        except* (OSError, asyncio.CancelledError):
            self._reset_both()

    def cut(self) -> None:
        """Abort it on both sides; what was on its way is lost."""
        self._reset_both()
        self._task.cancel()

    def _reset_both(self) -> None:
        reset(self._near)
        if self._far is not None:
            reset(self._far)


def reset(writer: asyncio.StreamWriter) -> None:
    """Abort a connection so that the other side is told by a reset, not by an orderly end."""
    raw: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):  # closed already
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()


async def _say_last(server: asyncio.StreamWriter, group: BaseExceptionGroup[Stopped]) -> None:
    """The server hears these bytes for certain, and then the end."""
    try:
        for error in group.exceptions:
            if isinstance(error, BaseExceptionGroup):
                return await _say_last(server, error)
            server.write(error.last)
        server.close()
        async with asyncio.timeout(LAST_WORDS_S):
            await server.wait_closed()
    except OSError:
        reset(server)
