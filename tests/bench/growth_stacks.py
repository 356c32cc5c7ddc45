"""What grows and needs a stack: sessions that are followed, shards, gateways.

The same few people read answers at each size: what do they feel, and what does it cost?
"""

import asyncio
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AsyncExitStack

from tests.bench.connections import read
from tests.bench.cost import Foreign, cpu_by_tier, cpu_of
from tests.bench.growth_page import Row
from tests.bench.load import Seen
from tests.bench.measured import bench_stack
from tests.bench.results import TOKENS
from tests.bench.silent import files_max, silent
from tests.stack import RunningStack

FILES_OF_OTHERS = 3_000
"""Files of a gateway that are no silent sockets: what it reads, its log's and the readers'."""
UNLIMITED = (
    "TALKLOG_CONNECTIONS",
    "TALKLOG_CONNECTIONS_PER_ADDRESS",
    "TALKLOG_ADDRESS_CONNECTIONS_PER_SECOND",
)


def sessions(sizes: Sequence[int]) -> tuple[Row, ...]:
    """So many silent sockets, each in a session of its own, beside readers; all gateways' CPU.

    A socket is an open file: of each size there are as many gateways as the largest size needs.
    """
    gateways = -(-max(sizes) // (files_max() - FILES_OF_OTHERS))
    variables = dict.fromkeys(UNLIMITED, "0") | {"GATEWAYS": str(gateways)}
    with bench_stack(**variables) as stack:
        return asyncio.run(_with_silent(stack, sorted(sizes)))


async def _with_silent(stack: RunningStack, sizes: Sequence[int]) -> tuple[Row, ...]:
    urls, rows = [gateway.url for gateway in stack.file.gateways], list[Row]()
    pids = [gateway.pid for gateway in stack.file.gateways]
    with _reader() as people:
        await _read(people, urls, "warm-up")
        for size in sizes:
            async with AsyncExitStack() as held:
                for number, url in enumerate(urls):
                    share = range(size * number // len(urls), size * (number + 1) // len(urls))
                    crowd = await held.enter_async_context(
                        silent([url.replace("http", "ws", 1)], share)
                    )
                    await crowd.are_in()
                rows.append(await _row(size, people, urls, lambda: sum(map(cpu_of, pids))))
    return tuple(rows)


def shards(sizes: Sequence[int]) -> tuple[Row, ...]:
    """The same load in so many shards, each on a stack of its own; the CPU of all tiers."""
    return tuple(_on_a_stack(size, {"SHARDS": str(size)}) for size in sizes)


def gateways(sizes: Sequence[int]) -> tuple[Row, ...]:
    """The same load over so many gateways, each on a stack of its own; the CPU of all tiers."""
    return tuple(_on_a_stack(size, {"GATEWAYS": str(size)}) for size in sizes)


def _on_a_stack(size: int, variables: dict[str, str]) -> Row:
    with bench_stack(**variables) as stack:
        return asyncio.run(_of_all_tiers(size, stack))


async def _of_all_tiers(size: int, stack: RunningStack) -> Row:
    urls = [gateway.url for gateway in stack.file.gateways]
    with _reader() as people:
        await _read(people, urls, "warm-up")
        return await _row(size, people, urls, lambda: sum(cpu_by_tier(stack.file).values()))


async def _row(
    size: int, people: Executor, urls: Sequence[str], used_s: Callable[[], float]
) -> Row:
    cpu_s, foreign = used_s(), Foreign()
    added = sorted((await _read(people, urls, f"at-{size}")).added_ms)
    cpu_s = (used_s() - cpu_s) * TOKENS / len(added)
    return Row(size, cpu_s, added[int(len(added) * 0.99)], foreign.cores())


async def _read(people: Executor, urls: Sequence[str], name: str) -> Seen:
    return await asyncio.get_running_loop().run_in_executor(people, read, urls, name)


def _reader() -> ProcessPoolExecutor:
    """A process for those who read: this one is busy with those who are silent."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
