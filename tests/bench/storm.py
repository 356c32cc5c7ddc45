"""A gateway dies and all its clients come to another at once: `python -m tests.bench.storm`.

How long until all are back, and what do those feel who are connected there already? Each client
does what the page and the terminal do: it waits a random time that doubles, and obeys 429. With
`--no-limit` the other gateway lets in whoever comes, for comparison.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from deploy.chat.reconnect import LOST, delay_s, refused
from tests.integration.gateway.process import Gateway, running_gateway
from tests.stack import running_stack

PROBES = 20
PING_EVERY_S = 0.05
AT_FIRST_AT_ONCE = 100
QUIET_S = 5.0


class Client:
    """Connects, is cut off, and comes back, to the first address and then to the second."""

    def __init__(self, number: int) -> None:
        self.path = f"/ws/chat/storm-{os.getpid()}-{number}/"
        self.refused = 0
        self.tries = 0

    async def join(self, url: str) -> ClientConnection:
        """Come until it is let in and knows where it stands."""
        failures = 0
        while True:
            self.tries += 1
            try:
                socket = await connect(
                    url + self.path, compression=None, ping_interval=None, open_timeout=10
                )
                while json.loads(await socket.recv())["type"] != "snapshot":
                    pass
                return socket
            except InvalidStatus as error:
                self.refused += 1
                code, reason = refused(error.response.status_code, error.response.headers)
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed):
                code, reason = LOST, ""
            failures += 1
            await asyncio.sleep(delay_s(code, reason, failures, random.random()) or 0.0)


async def probe(url: str, number: int, waits_ms: list[float]) -> None:
    """Ask again and again how long an answer takes."""
    async with connect(f"{url}/ws/chat/probe-{os.getpid()}-{number}/", compression=None) as socket:
        while True:
            began = time.perf_counter()
            await socket.send('{"type":"ping"}')
            while json.loads(await socket.recv())["type"] != "pong":
                pass
            waits_ms.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(PING_EVERY_S)


def probing(url: str, orders: Connection) -> None:
    """Probe in a process of its own: the loop of those who come back is busy with them.

    Each order is answered by all waits since the one before; the end of orders is the end.
    """
    asyncio.run(_probing(url, orders))


async def _probing(url: str, orders: Connection) -> None:
    waits_ms: list[float] = []
    probes = [asyncio.create_task(probe(url, number, waits_ms)) for number in range(PROBES)]
    try:
        while await asyncio.to_thread(orders.recv):
            orders.send(waits_ms)
            waits_ms.clear()
    finally:
        for each in probes:
            each.cancel()
        await asyncio.gather(*probes, return_exceptions=True)


def told(name: str, waits_ms: list[float]) -> str:
    """The figures of some waits."""
    hundredths = statistics.quantiles(waits_ms, n=100)
    p50, p99 = hundredths[49], hundredths[98]
    return f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(waits_ms):.0f} ms"


async def measure(first: Gateway, second: Gateway, count: int) -> None:
    """Connect them to the first, kill it, and look at the second."""
    clients = [Client(number) for number in range(count)]
    slots = asyncio.Semaphore(AT_FIRST_AT_ONCE)

    async def enter(client: Client) -> ClientConnection:
        async with slots:
            return await client.join(first.url)

    before_mib = rss_mib(first)
    sockets = await asyncio.gather(*(enter(client) for client in clients))
    each_kib = (rss_mib(first) - before_mib) * 1024 / count
    orders, ours = multiprocessing.Pipe()
    prober = multiprocessing.get_context("spawn").Process(target=probing, args=(second.url, ours))
    prober.start()

    async def waits_ms() -> list[float]:
        orders.send(True)
        return list(await asyncio.to_thread(orders.recv))

    await asyncio.sleep(QUIET_S)
    await waits_ms()  # its beginning does not count
    await asyncio.sleep(QUIET_S)
    print(f"{count} sockets, {each_kib:.1f} KiB each; load {os.getloadavg()[0]:.1f}")
    print(told("before", await waits_ms()))

    async def back(client: Client, socket: ClientConnection) -> float:
        await socket.wait_closed()
        await asyncio.sleep(delay_s(LOST, "", 0, random.random()) or 0.0)
        joined = await client.join(second.url)
        took_s = time.perf_counter() - killed_s
        joined_all.append(joined)
        return took_s

    joined_all: list[ClientConnection] = []
    tries = sum(client.tries for client in clients)
    coming = [asyncio.create_task(back(*each)) for each in zip(clients, sockets, strict=True)]
    await asyncio.sleep(0)
    cpu_s, killed_s = own_cpu_s(second), time.perf_counter()
    first.process.kill()
    took_s = await asyncio.gather(*coming)
    print(told("during", await waits_ms()))
    tenths = statistics.quantiles(took_s, n=10)
    print(
        f"back: half in {statistics.median(took_s):.1f} s, nine tenths in {tenths[8]:.1f} s, all in"
        f" {max(took_s):.1f} s; {sum(c.tries for c in clients) - tries} tries,"
        f" {sum(client.refused for client in clients)} answered 429,"
        f" {(own_cpu_s(second) - cpu_s) * 1000 / count:.2f} ms CPU of the gateway for each"
    )
    orders.send(False)
    await asyncio.to_thread(prober.join)
    await asyncio.gather(*(socket.close() for socket in joined_all), return_exceptions=True)


def rss_mib(gateway: Gateway) -> float:
    """Memory of the process."""
    return psutil.Process(gateway.process.pid).memory_info().rss / 2**20


def own_cpu_s(gateway: Gateway) -> float:
    """CPU time of the process."""
    times = psutil.Process(gateway.process.pid).cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Run it once; the last lines are the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.storm", description=__doc__)
    parser.add_argument("--clients", type=int, default=5_000)
    parser.add_argument("--no-limit", action="store_true", help="let in whoever comes")
    options = parser.parse_args()
    variables = {"TALKLOG_CONNECTIONS_PER_SECOND": "0"} if options.no_limit else {}
    with tempfile.TemporaryDirectory(prefix="talklog-storm-") as folder:
        Path(folder).chmod(0o755)
        with (
            running_stack(Path(folder) / "state", servers_only=True) as servers,
            running_gateway(servers, Path(folder) / "first.log") as first,
            running_gateway(servers, Path(folder) / "second.log", **variables) as second,
        ):
            asyncio.run(measure(first, second, options.clients))


if __name__ == "__main__":
    main()
