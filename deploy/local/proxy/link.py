"""One link: the ports of its servers, what it does to what passes, what has passed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deploy.local.proxy.connection import Connection, reset
from deploy.local.proxy.pump import READ_BYTES, Passing
from deploy.local.proxy.routes import Route
from deploy.local.proxy.trigger import Trigger, Watch

CONNECTIONS_MAX = 2_000
BACKLOG = 1024

Mode = Literal["open", "refuse", "hole", "delay"]


@dataclass(slots=True)
class Counts:
    """What has happened on a link since it is there."""

    bytes_up: int = 0
    bytes_down: int = 0
    cut: int = 0
    triggered: int = 0
    full: int = 0


class Link:
    """Listens from `start` to `stop`, but not while it refuses."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.mode: Mode = "open"
        self.counts = Counts()
        self.passing = Passing()
        self.routes = routes
        self._servers: list[asyncio.Server] = []
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._changing = asyncio.Lock()
        self._trigger: Trigger | None = None
        self._times = 0

    @property
    def connections(self) -> int:
        """How many are carried now."""
        return len(self._connections)

    async def start(self) -> None:
        """Listen. Raises OSError if a port is taken."""
        async with self._changing:
            await self._listen()

    async def stop(self) -> None:
        """Listen no more and end every connection."""
        async with self._changing:
            await self._close()

    async def set_mode(self, mode: Mode, delay_s: float = 0.0) -> None:
        """Do so from now on. Raises OSError if it can't listen again."""
        async with self._changing:
            if mode == "refuse":
                await self._close()
            else:
                await self._listen()
            self.passing.delay_s = delay_s if mode == "delay" else 0.0
            if mode == "hole":
                self.passing.may.clear()
            else:
                self.passing.may.set()
            self.mode = mode

    async def cut(self) -> int:
        """Abort every connection; how many. It returns when they are gone."""
        tasks = list(self._connections.values())
        for connection in list(self._connections):
            connection.cut()
        self.counts.cut += len(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)
        return len(tasks)

    def arm(self, trigger: Trigger, times: int) -> None:
        """Cut the next `times` connections that say so, 0: none. It replaces an earlier order."""
        self._trigger, self._times = trigger, times

    async def _listen(self) -> None:
        if self._servers:
            return
        try:
            for route in self.routes:
                self._servers.append(await self._server(route))
        except OSError:
            await self._close()
            raise

    async def _server(self, route: Route) -> asyncio.Server:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._carry(route, reader, writer)

        return await asyncio.start_server(
            carry, "127.0.0.1", route.port, limit=READ_BYTES, backlog=BACKLOG
        )

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        await self.cut()

    async def _carry(
        self, route: Route, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        # Taken just before its port was closed, it comes here just after.
        if not self._servers or self.connections >= CONNECTIONS_MAX or task is None:
            self.counts.full += bool(self._servers)
            reset(writer)
            return
        connection = Connection(reader, writer, task)
        self._connections[connection] = task
        try:
            watching = _Watching(self)
            await connection.carry(
                route.host, route.server_port, self.passing, watching.up, self._down
            )
        finally:
            del self._connections[connection]

    def _down(self, piece: bytes) -> None:
        self.counts.bytes_down += len(piece)

    def fire(self) -> None:
        """A connection has come to where it is cut."""
        self.counts.cut += 1
        self.counts.triggered += 1
        self._times -= 1

    @property
    def armed(self) -> Trigger | None:
        """The order that still stands."""
        return self._trigger if self._times > 0 else None


class _Watching:
    """Reads along on one connection for whatever order stands."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._watch: Watch | None = None

    def up(self, piece: bytes) -> int | None:
        last = self._last(piece)
        self._link.counts.bytes_up += len(piece) if last is None else last
        return last

    def _last(self, piece: bytes) -> int | None:
        trigger = self._link.armed
        if trigger is None:
            self._watch = None
            return None
        if self._watch is None or self._watch.trigger is not trigger:
            self._watch = Watch(trigger)
        last = self._watch.passes(piece)
        if last is not None:
            self._link.fire()
        return last
