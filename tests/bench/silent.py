"""Silent clients, so many that they need several processes and addresses to come from.

    async with silent(urls, range(20_000)) as crowd:
        await crowd.are_in()

A process may open so many files, and an address has so many ports. `python -m tests.bench.silent`
is one of the processes: it reads its orders as a line of JSON, and a later line lets all of its
clients come back at once, as in a storm; it tells as lines of JSON how many have joined.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import resource
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

from deploy.chat.reconnect import LOST, delay_s, refused
from deploy.local.program import wrapped
from tests.waiting import Changes

OPENING_AT_ONCE = 100
OPEN_WITHIN_S = 60.0
BACK_WITHIN_S = 300.0
OTHER_FILES = 1000
TOLD_EVERY_S = 0.1
_ASKED = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2lsZW50IHRoZXkgYXJlIQ==\r\n"
)
_RETRY_AFTER = re.compile(rb"\r\nRetry-After: (\d+)\r\n", re.IGNORECASE)
ENDS_WITHIN_S = 60.0


def files_max() -> int:
    """Take all the files that this process may open, and give how many those are."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


# -- from outside


@dataclass(slots=True)
class Crowd:
    """All of them, in however many processes."""

    count: int
    told: dict[int, dict[str, int]] = field(default_factory=dict)
    inputs: list[asyncio.StreamWriter] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)

    def total(self, what: str) -> int:
        """Give how many are `joined`, or were `refused` by a 429."""
        return sum(each[what] for each in self.told.values())

    async def are_in(self) -> None:
        """Wait until all have joined."""
        await self.changes.until(
            lambda: self.total("joined") == self.count,
            BACK_WITHIN_S,
            lambda: f"{self.told} of {self.count}",
        )

    async def are_out(self) -> None:
        """Wait until the first has lost its socket."""
        await self.changes.until(
            lambda: self.total("joined") < self.count, BACK_WITHIN_S, "nobody left"
        )

    def let_storm(self) -> None:
        """From now on nobody waits for others before he opens his socket."""
        for each in self.inputs:
            each.write(b"storm\n")


@asynccontextmanager
async def silent(urls: Sequence[str], numbers: range) -> AsyncIterator[Crowd]:
    """Keep a socket for each number, on the first address while that lives, until the block ends.

    Two crowds at once need numbers that are a thousand apart.
    """
    each_may = files_max() - OTHER_FILES
    count = len(numbers)
    processes = -(-count // each_may)
    crowd = Crowd(count)
    async with AsyncExitStack() as held:
        tasks = await held.enter_async_context(asyncio.TaskGroup())
        for number in range(processes):
            share = numbers[count * number // processes : count * (number + 1) // processes]
            orders = {
                "urls": list(urls),
                "first": share.start,
                "count": len(share),
                "address": f"127.0.0.{2 + share.start // 1000}",
            }
            process = await held.enter_async_context(_process(orders))
            assert process.stdin is not None
            assert process.stdout is not None
            crowd.inputs.append(process.stdin)
            crowd.told[number] = {"joined": 0, "refused": 0}
            tasks.create_task(_hear(process.stdout, crowd, number))
        yield crowd


@asynccontextmanager
async def _process(orders: object) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "tests.bench.silent"]
    process = await asyncio.create_subprocess_exec(
        *wrapped(command, uid=None, death_signal=signal.SIGKILL),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(orders).encode() + b"\n")
    try:
        yield process
    finally:
        process.kill()  # ten thousand goodbyes are of no use
        await asyncio.wait_for(process.wait(), ENDS_WITHIN_S)


async def _hear(stdout: asyncio.StreamReader, crowd: Crowd, number: int) -> None:
    async for line in stdout:
        crowd.told[number] = json.loads(line)
        crowd.changes.tell()


# -- in the process


class Refused(Exception):
    """A handshake was answered by something else than 101."""

    def __init__(self, head: bytes) -> None:
        super().__init__(head)
        self.status = int(head[9:12])
        later = _RETRY_AFTER.search(head)
        self.headers = {"Retry-After": later[1].decode()} if later else {}


class Socket(asyncio.Protocol):
    """A WebSocket that only listens: ten thousand at once must be no slower than their gateway."""

    def __init__(self, path: str, host: str) -> None:
        loop = asyncio.get_running_loop()
        self.joined: asyncio.Future[None] = loop.create_future()
        """Done when the snapshot has come."""
        self.over: asyncio.Future[None] = loop.create_future()
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{_ASKED}\r\n".encode()
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        # Of uvloop it is one, and no instance of one.
        cast(asyncio.WriteTransport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """Look for a refusal, then for the snapshot; nothing else is of interest."""
        if self.joined.done():
            return
        self._came += data
        if b"\r\n\r\n" in self._came and not self._came.startswith(b"HTTP/1.1 101 "):
            self.joined.set_exception(Refused(self._came))
        elif b'"snapshot"' in self._came:
            self.joined.set_result(None)
            self._came = b""

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits."""
        if not self.joined.done():
            self.joined.set_exception(error or ConnectionError("closed before the snapshot"))
        self.over.set_result(None)


@dataclass(slots=True)
class Clients:
    """Each keeps one socket, and comes back to the next address when it breaks.

    Who is told by a gateway when to come again comes back to that one.
    """

    urls: list[str]
    address: str
    joined: int = 0
    refused: int = 0
    opening: asyncio.Semaphore | None = None
    """While set: so many at once. A storm has no such order."""

    async def one(self, number: int) -> None:
        """Keep a socket for ever."""
        at, failures = 0, 0
        while True:
            code, reason, to_next = LOST, "", 1
            try:
                await self._keep(self.urls[at % len(self.urls)], number)
                failures = 0
            except Refused as error:
                self.refused += 1
                to_next = 0
                code, reason = refused(error.status, error.headers)
            except (OSError, TimeoutError):
                pass
            at, failures = at + to_next, failures + 1
            wait_s = delay_s(code, reason, failures - 1, random.random())
            assert wait_s is not None, "none is sent away for good"
            await asyncio.sleep(wait_s)

    async def _keep(self, url: str, number: int) -> None:
        """Join, and stay until the socket breaks."""
        at = urlsplit(url)
        path = f"/ws/chat/silent-{number}/"
        loop = asyncio.get_running_loop()
        async with self.opening or contextlib.nullcontext(), asyncio.timeout(OPEN_WITHIN_S):
            transport, socket = await loop.create_connection(
                lambda: Socket(path, at.netloc),
                at.hostname or "",
                at.port or 80,
                local_addr=(self.address, 0),
            )
            try:
                await socket.joined
            except BaseException:
                transport.abort()
                raise
        self.joined += 1
        try:
            await socket.over
        finally:
            self.joined -= 1


async def _run(urls: list[str], first: int, count: int, address: str) -> None:
    clients = Clients(urls, address, opening=asyncio.Semaphore(OPENING_AT_ONCE))
    orders = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    async with asyncio.TaskGroup() as tasks:
        for number in range(first, first + count):
            tasks.create_task(clients.one(number))
        while True:
            print(json.dumps({"joined": clients.joined, "refused": clients.refused}), flush=True)
            await asyncio.sleep(TOLD_EVERY_S)
            if orders.done():
                clients.opening = None


def main() -> None:
    """Keep sockets until killed, with the CPU that is left: they have machines of their own."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    files_max()
    orders = json.loads(sys.stdin.readline())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(**orders))


if __name__ == "__main__":
    main()
