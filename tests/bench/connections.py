"""`python -m tests.bench.connections`: many silent sockets on one gateway, and a storm of them.

What a silent socket costs its gateway in memory and CPU; then the gateway is killed and all of them
come to the other one, where a few people are reading answers: how long until everybody is back, and
what those who were there feel of it. The clients run on the same cores; the people who read have a
process of their own, for that of the crowd is busy.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from deploy.chat.reconnect import LOST, delay_s, refused
from tests.bench.cost import cpu_of
from tests.bench.load import Seen, load
from tests.bench.scenarios import Scenario
from tests.scripted_model.control import scripted_model
from tests.stack import RunningStack, running_stack
from tests.waiting import Changes

OPENING_AT_ONCE = 100
AN_ADDRESS = 20_000
"""An address has ports for so many sockets."""
READERS = Scenario("20 answers of 20 tokens a second", 20, 20.0)
READ_S = 15.0
BACK_WITHIN_S = 300.0
OPEN_WITHIN_S = 60.0


@dataclass(slots=True)
class Crowd:
    """Silent clients: each keeps one socket, and comes back to the next address when it breaks."""

    urls: list[str]
    joined: int = 0
    refused: int = 0
    opening: asyncio.Semaphore | None = None
    """While set: so many at once. A storm has no such order."""
    changes: Changes = field(default_factory=Changes)

    async def one(self, number: int) -> None:
        """Keep a socket for ever."""
        at, failures = 0, 0
        while True:
            code, reason = LOST, ""
            try:
                async with self.opening or contextlib.nullcontext():
                    socket = await connect(
                        f"{self.urls[at % len(self.urls)]}/ws/chat/silent-{number}/",
                        compression=None,
                        ping_interval=None,
                        open_timeout=OPEN_WITHIN_S,
                        local_addr=(f"127.0.0.{1 + number // AN_ADDRESS}", 0),
                    )
                    while '"snapshot"' not in str(await socket.recv()):
                        pass
                self.joined += 1
                self.changes.tell()
                failures = 0
                try:
                    async for _ in socket:
                        pass
                finally:
                    self.joined -= 1
                    self.changes.tell()
            except InvalidStatus as error:
                self.refused += 1
                code, reason = refused(error.response.status_code, error.response.headers)
            except (WebSocketException, OSError, TimeoutError):
                pass
            at, failures = at + 1, failures + 1
            wait_s = delay_s(code, reason, failures - 1, random.random())
            assert wait_s is not None, "none is sent away for good"
            await asyncio.sleep(wait_s)

    async def are_in(self, count: int) -> None:
        """Wait until so many have joined."""
        await self.changes.until(
            lambda: self.joined == count, BACK_WITHIN_S, lambda: f"{self.joined} of {count}"
        )

    async def are_out(self) -> None:
        """Wait until the first of those that are in has lost its socket."""
        joined = self.joined
        await self.changes.until(lambda: self.joined < joined, BACK_WITHIN_S, "nobody left")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.connections", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=30.0)
    parser.add_argument(
        "--connections-per-second", default="", help="TALKLOG_CONNECTIONS_PER_SECOND; 0: no limit"
    )
    asked = parser.parse_args()
    limit = {"TALKLOG_CONNECTIONS_PER_SECOND": asked.connections_per_second}
    limit = limit if asked.connections_per_second else {}
    if not may_open(asked.connections):
        raise SystemExit(f"--connections {asked.connections}: a process may not open so many files")
    folder = Path(tempfile.mkdtemp(prefix="talklog-bench-"))
    folder.chmod(0o755)
    try:
        with (
            scripted_model() as model,
            running_stack(
                folder,
                OPENAI_BASE_URL=model.url,
                GATEWAYS="2",
                RESTART="0",
                _JAVA_OPTIONS="",
                **limit,
            ) as stack,
        ):
            asyncio.run(_measure(stack, asked.connections, asked.idle_seconds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def may_open(sockets: int) -> bool:
    """Let this process open as many files as it may, and say whether those are enough."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return sockets + 1000 <= most


async def _measure(stack: RunningStack, count: int, idle_s: float) -> None:
    first, second = stack.file.gateways
    urls = [each.url.replace("http", "ws", 1) for each in (first, second)]
    gateway = psutil.Process(first.pid)
    await load([second.url], READERS, READERS.tokens_in(5.0), "warm-up")
    rss_before, cpu_before = gateway.memory_info().rss, cpu_of(first.pid)
    crowd = Crowd(urls, opening=asyncio.Semaphore(OPENING_AT_ONCE))
    began = time.monotonic()
    clients = [asyncio.create_task(crowd.one(number)) for number in range(count)]
    await crowd.are_in(count)
    took_s, cpu_s = time.monotonic() - began, cpu_of(first.pid) - cpu_before
    kib = (gateway.memory_info().rss - rss_before) / count / 1024
    print(f"{count:,} sockets: {took_s:.1f} s to join, {1000 * cpu_s / count:.2f} ms CPU each")
    print(f"memory of a silent socket: {kib:.1f} KiB")
    cpu_before = cpu_of(first.pid)
    await asyncio.sleep(idle_s)
    ms_a_s = 1000 * (cpu_of(first.pid) - cpu_before) / idle_s
    print(f"CPU of {count:,} silent sockets: {ms_a_s:.0f} ms a second")

    loop, spawning = asyncio.get_running_loop(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning) as people:
        quiet = await loop.run_in_executor(people, read, [second.url], "quiet")
        reading = loop.run_in_executor(people, read, [second.url], "in-the-storm")
        await asyncio.sleep(2.0)
        await _storm(stack, crowd, count)
        print(f"readers on the other gateway: {_told(quiet)} before, {_told(await reading)} in it")
    for client in clients:
        client.cancel()


def read(urls: Sequence[str], name: str) -> Seen:
    """Let READERS read for a while, in whatever process this is called."""
    return asyncio.run(load(urls, READERS, READERS.tokens_in(READ_S), name))


async def _storm(stack: RunningStack, crowd: Crowd, count: int) -> None:
    crowd.opening = None
    stack.kill("gateway-1")
    began = time.monotonic()
    await crowd.are_out()
    await crowd.are_in(count)
    took_s = time.monotonic() - began
    print(
        f"storm: the gateway of {count:,} was killed, all were back after {took_s:.1f} s;"
        f" {crowd.refused:,} handshakes were answered 429"
    )


def _told(seen: Seen) -> str:
    added = sorted(seen.added_ms)
    return f"p50 {added[len(added) // 2]:.0f} ms, p99 {added[int(len(added) * 0.99)]:.0f} ms"


if __name__ == "__main__":
    main()
