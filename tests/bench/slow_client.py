"""What a client that never reads costs those beside it: `python -m tests.bench.slow_client`.

Two hundred people read answers on one gateway. Beside them a session has answers of half a
megabyte, one after another, on two sockets: one of them is read, the other is read too or, in turn,
never. What counts is the people's p99 in the one case over that in the other. The people are a
process of their own.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import socket
import statistics
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ProcessPoolExecutor
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.load import load
from tests.bench.measured import bench_stack
from tests.bench.scenarios import Scenario

PEOPLE = Scenario("200 answers of 10 tokens a second", 200, 10.0)
HUGE = "[[tokens=20 huge=500000]]"
WARM_UP_S = 20.0
RECEIVED_BYTES = 65_536
"""So much the system takes in for the other socket; then its gateway has to wait."""
ENDS = ("ai_response_complete", "error")


class _Frame(msgspec.Struct):
    type: str


_decode = msgspec.json.Decoder(_Frame).decode


def main() -> None:
    """Measure in turn, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.slow_client", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of one repeat")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    limits = {"TALKLOG_MESSAGES_PER_MINUTE": "1000", "TALKLOG_ADDRESS_MESSAGES_PER_MINUTE": "10000"}
    limits |= {"TALKLOG_ADDRESS_CONNECTIONS_PER_SECOND": "1000", "TALKLOG_MAX_RUNNING": "300"}
    spawning = multiprocessing.get_context("spawn")
    with (
        bench_stack(GATEWAYS="1", **limits) as stack,
        ProcessPoolExecutor(1, mp_context=spawning) as people,
    ):
        asyncio.run(_measure(stack.file.gateways[0].url, people, asked))


async def _measure(url: str, people: Executor, asked: argparse.Namespace) -> None:
    await _p99_ms(url, people, WARM_UP_S, "warm-up")
    ratios: list[float] = []
    for number in range(asked.repeats):
        p99_ms: dict[bool, float] = {}
        for reads in (True, False):
            name = f"{'read' if reads else 'unread'}-{number}"
            async with _beside(url, f"beside-{name}", reads=reads) as ended:
                p99_ms[reads] = await _p99_ms(url, people, asked.seconds, name)
            how = "is read" if reads else f"misses {len(ended)} answers"
            print(f"p99 {p99_ms[reads]:.0f} ms, the other socket {how}", flush=True)
        ratios.append(p99_ms[False] / p99_ms[True])
    print(f"p99 beside a client that never reads: {statistics.median(ratios):.2f} x")


async def _p99_ms(url: str, people: Executor, seconds: float, name: str) -> float:
    return await asyncio.get_running_loop().run_in_executor(people, _read, url, seconds, name)


def _read(url: str, seconds: float, name: str) -> float:
    """Let the people read; give their p99 in ms. In whatever process this is called."""
    seen = asyncio.run(load([url], PEOPLE, PEOPLE.tokens_in(seconds), name))
    return sorted(seen.added_ms)[int(len(seen.added_ms) * 0.99)]


@contextlib.asynccontextmanager
async def _beside(url: str, session: str, *, reads: bool) -> AsyncIterator[list[str]]:
    """Have huge answers told on two sockets until the block ends; give how each has ended."""
    address = url.replace("http", "ws", 1) + f"/ws/chat/{session}/"
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
    small.connect((urlsplit(url).hostname, urlsplit(url).port))
    async with (
        connect(address, max_size=None, ping_interval=None) as asking,
        connect(address, sock=small, max_size=None, ping_interval=None, close_timeout=1) as other,
    ):
        if not reads:
            other.transport.pause_reading()
        ended: list[str] = []
        working = asyncio.create_task(_ask_on(asking, ended)), asyncio.create_task(_read_on(other))
        yield ended
        for task in working:
            task.cancel()
        other.transport.resume_reading()


async def _ask_on(asking: ClientConnection, ended: list[str]) -> None:
    asked = msgspec.json.encode({"type": "user_message", "content": f"go {HUGE}"}).decode()
    while True:
        await asking.send(asked)
        async for raw in asking:
            if (told := _decode(raw).type) in ENDS:
                ended.append(told)
                break


async def _read_on(other: ClientConnection) -> None:
    async for _ in other:
        pass


if __name__ == "__main__":
    main()
