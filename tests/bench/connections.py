"""`python -m tests.bench.connections`: many silent sockets on one gateway, and a storm of them.

What a silent socket costs its gateway in memory and CPU; then the gateway is killed and all of them
come to the other one, where a few people are reading answers: how long until everybody is back, and
what those who were there feel of it. The clients run on the same cores; the people who read have a
process of their own, and the crowd has as many as its files need.
"""

import argparse
import asyncio
import dataclasses
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil

from tests.bench.cost import cpu_of
from tests.bench.load import Seen, load
from tests.bench.measured import bench_stack
from tests.bench.scenarios import Scenario
from tests.bench.silent import Crowd, files_max, silent
from tests.stack import RunningStack

OTHERS = 300
"""Sockets of a gateway that are none of the crowd's, and files that are no sockets."""
READERS = Scenario("20 answers of 20 tokens a second", 20, 20.0)
READ_S = 15.0
ANSWERS, ANSWERS_MAX = 5, 200
"""Who reads on while a storm lasts has answers that are so much shorter, and so many at most."""


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
    # All of them meet on one gateway in the end, with those who read.
    limits = {"TALKLOG_CONNECTIONS": str(asked.connections + OTHERS)}
    if asked.connections_per_second:
        limits["TALKLOG_CONNECTIONS_PER_SECOND"] = asked.connections_per_second
    if asked.connections + OTHERS > files_max():
        raise SystemExit(
            f"--connections {asked.connections}: a process may open {files_max()} files here,"
            f" and {OTHERS} are for others"
        )
    with bench_stack(GATEWAYS="2", RESTART="0", **limits) as stack:
        asyncio.run(_measure(stack, asked.connections, asked.idle_seconds))


async def _measure(stack: RunningStack, count: int, idle_s: float) -> None:
    first, second = stack.file.gateways
    urls = [each.url.replace("http", "ws", 1) for each in (first, second)]
    gateway = psutil.Process(first.pid)
    loop, spawning = asyncio.get_running_loop(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawning) as people:
        for url in (second.url, first.url):
            await loop.run_in_executor(people, read, [url], "warm-up")
        alone = await loop.run_in_executor(people, read, [first.url], "alone")
        rss_before, cpu_before = gateway.memory_info().rss, cpu_of(first.pid)
        began = time.monotonic()
        async with silent(urls, range(count)) as crowd:
            await crowd.are_in()
            took_s, cpu_s = time.monotonic() - began, cpu_of(first.pid) - cpu_before
            kib = (gateway.memory_info().rss - rss_before) / count / 1024
            print(f"{count:,} sockets: {took_s:.1f} s to join, {1000 * cpu_s / count:.2f} ms each")
            print(f"memory of a silent socket: {kib:.1f} KiB; open files {gateway.num_fds():,}")
            cpu_before = cpu_of(first.pid)
            await asyncio.sleep(idle_s)
            ms_a_s = 1000 * (cpu_of(first.pid) - cpu_before) / idle_s
            print(f"CPU of {count:,} silent sockets: {ms_a_s:.0f} ms a second")
            beside = await loop.run_in_executor(people, read, [first.url], "beside")
            print(f"readers on their gateway: {_told(alone)} alone, {_told(beside)} beside them")
            quiet = await loop.run_in_executor(people, read, [second.url], "quiet")
            with tempfile.NamedTemporaryFile() as going_on:
                # They are there before it, and stay.
                reading = loop.run_in_executor(
                    people, read_on, [second.url], "in-the-storm", going_on.name
                )
                await asyncio.sleep(READ_S / ANSWERS)
                await _storm(stack, crowd)
            print(f"readers on the other: {_told(quiet)} before, {_told(await reading)} in it")
        print(f"load {os.getloadavg()[0]:.1f}")


def read(urls: Sequence[str], name: str) -> Seen:
    """Let READERS read for a while, in whatever process this is called."""
    return asyncio.run(load(urls, READERS, READERS.tokens_in(READ_S), name))


def read_on(urls: Sequence[str], name: str, path: str) -> Seen:
    """Let READERS read answer after answer, on sockets that stay, as long as the file is there."""
    scenario = dataclasses.replace(READERS, turns=ANSWERS_MAX)
    tokens = READERS.tokens_in(READ_S / ANSWERS)
    return asyncio.run(load(urls, scenario, tokens, name, goes_on=Path(path).exists))


async def _storm(stack: RunningStack, crowd: Crowd) -> None:
    refused = crowd.total("refused")
    crowd.let_storm()
    stack.kill("gateway-1")
    began = time.monotonic()
    await crowd.are_out()
    await crowd.are_in()
    took_s = time.monotonic() - began
    print(
        f"storm: the gateway of {crowd.count:,} was killed, all were back after {took_s:.1f} s;"
        f" {crowd.total('refused') - refused:,} handshakes were answered 429;"
        f" the other one takes {_mib(stack):.0f} MiB"
    )


def _mib(stack: RunningStack) -> float:
    return psutil.Process(stack.pid("gateway-2")).memory_info().rss / 2**20


def _told(seen: Seen) -> str:
    added = sorted(seen.added_ms)
    return f"p50 {added[len(added) // 2]:.0f} ms, p99 {added[int(len(added) * 0.99)]:.0f} ms"


if __name__ == "__main__":
    main()
