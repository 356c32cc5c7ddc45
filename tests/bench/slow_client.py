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
import statistics
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ProcessPoolExecutor

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.bench.load import load
from tests.bench.measured import bench_stack
from tests.bench.scenarios import Scenario

PEOPLE = Scenario("200 answers of 10 tokens a second", 200, 10.0)
HUGE = "[[tokens=20 huge=500000]]"
WARM_UP_S = 20.0
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
            async with _beside(url, f"beside-{name}", reads=reads) as other:
                p99_ms[reads] = await _p99_ms(url, people, asked.seconds, name)
            how = "read" if reads else f"not read, and closed with {other.close_code}"
            print(f"p99 {p99_ms[reads]:.0f} ms, the other socket is {how}", flush=True)
        ratios.append(p99_ms[False] / p99_ms[True])
    print(f"p99 beside a client that never reads: {statistics.median(ratios):.2f} x")


async def _p99_ms(url: str, people: Executor, seconds: float, name: str) -> float:
    return await asyncio.get_running_loop().run_in_executor(people, _read, url, seconds, name)


def _read(url: str, seconds: float, name: str) -> float:
    """Let the people read; give their p99 in ms. In whatever process this is called."""
    seen = asyncio.run(load([url], PEOPLE, PEOPLE.tokens_in(seconds), name))
    return sorted(seen.added_ms)[int(len(seen.added_ms) * 0.99)]


@contextlib.asynccontextmanager
async def _beside(url: str, session: str, *, reads: bool) -> AsyncIterator[ClientConnection]:
    """Have huge answers told on two sockets until the block ends; give the second."""
    address = url.replace("http", "ws", 1) + f"/ws/chat/{session}/"
    async with (
        connect(address, max_size=None, ping_interval=None) as asking,
        connect(address, max_size=None, ping_interval=None, close_timeout=1) as other,
    ):
        working = [asyncio.create_task(_ask_on(asking))]
        if reads:
            working.append(asyncio.create_task(_read_on(other)))
        else:
            other.transport.pause_reading()
        yield other
        for task in working:
            task.cancel()
        other.transport.resume_reading()
        await _read_to_its_end(other)


async def _ask_on(socket: ClientConnection) -> None:
    asked = msgspec.json.encode({"type": "user_message", "content": f"go {HUGE}"}).decode()
    while True:
        await socket.send(asked)
        async for raw in socket:
            if _decode(raw).type in ENDS:
                break


async def _read_on(socket: ClientConnection) -> None:
    async for _ in socket:
        pass


async def _read_to_its_end(socket: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed, TimeoutError):
        async with asyncio.timeout(5):
            await _read_on(socket)


if __name__ == "__main__":
    main()
