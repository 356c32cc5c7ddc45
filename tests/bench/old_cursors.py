"""`python -m tests.bench.old_cursors`: clients of last night come back together with honest ones.

The log has many shards and hundreds of megabytes. So many clients connect at once, each with a
random old cursor; among them a hundred that were away for seconds. Shown is how long these wait for
what they missed, how long the others wait, and what it costs the gateway; for 10², 10³, … of them.
"""

import argparse
import asyncio
import logging
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from schemas.topics import shard_of
from tests.bench.cost import Foreign, cpu_of
from tests.integration.gateway.client import Client
from tests.integration.gateway.process import Gateway, running_gateway
from tests.integration.gateway.writer import Writer, open_writer
from tests.stack import RunningStack, running_stack

HONEST = 100
AWAY_S = 5.0
VALUE = b'{"type":"filling","text":"' + b"x" * 4000 + b'"}'
"""An event of a type that nobody knows, of a size that fills a log."""
A_BATCH = 3
"""So many go into one batch of the producer's: more would wait for each other, to the time-out."""
AT_ONCE = 500


@dataclass(slots=True)
class Waits:
    """How long clients waited, in seconds, the CPU that it cost their gateway, and others."""

    honest: list[float] = field(default_factory=list)
    old: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    foreign_cores: float = 0.0


def main() -> None:
    """Fill a log, then let each crowd come."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.old_cursors", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--old", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--megabytes", type=int, default=400)
    asked = parser.parse_args()
    print(f"{asked.megabytes} MB in {asked.shards} shards")
    print(f"{'old':>8} {'honest p50':>11} {'p99':>7} {'old p50':>9} {'p99':>7} {'CPU s':>7}")

    def tell(count: int, waits: Waits) -> None:
        honest, old = sorted(waits.honest), sorted(waits.old)
        print(
            f"{count:>8} {at(honest, 0.5):>10.2f}s {at(honest, 0.99):>6.2f}s "
            f"{at(old, 0.5):>8.2f}s {at(old, 0.99):>6.2f}s {waits.cpu_s:>7.1f}",
            flush=True,
        )

    measure(asked.old, asked.shards, asked.megabytes, tell)


def measure(
    counts: Sequence[int], shards: int, megabytes: int, tell: Callable[[int, Waits], None]
) -> None:
    """Fill a log, let each crowd come to a gateway of its own, and tell how it went."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics are young: leaders come
    with (
        tempfile.TemporaryDirectory(prefix="talklog-bench-") as folder,
        running_stack(
            Path(folder), servers_only=True, SHARDS=str(shards), _JAVA_OPTIONS=""
        ) as servers,
    ):
        asyncio.run(_measure(servers, Path(folder), counts, shards, megabytes, tell))


async def _measure(
    servers: RunningStack,
    folder: Path,
    counts: Sequence[int],
    shards: int,
    megabytes: int,
    tell: Callable[[int, Waits], None],
) -> None:
    async with open_writer(servers.file.kafka, servers.epoch, shards) as writer:
        ends = await _filled(writer, shards, megabytes)
        for count in counts:
            variables = {"TALKLOG_SHARDS": str(shards), "TALKLOG_CONNECTIONS_PER_SESSION": "1000"}
            with running_gateway(servers, folder / f"gateway-{count}", **variables) as gateway:
                cpu_before, foreign = cpu_of(gateway.process.pid), Foreign()
                waits = await _crowd(gateway, writer, count, ends, shards)
                waits.cpu_s = cpu_of(gateway.process.pid) - cpu_before
                waits.foreign_cores = foreign.cores()
            tell(count, waits)


async def _filled(writer: Writer, shards: int, megabytes: int) -> list[int]:
    """Write about so much, the same to each shard; give each shard's end."""
    sessions = _one_of_each(shards)
    for _ in range(max(1, megabytes * 1_000_000 // len(VALUE) // shards // A_BATCH)):
        await asyncio.gather(*(writer.put_raw(each, *[VALUE] * A_BATCH) for each in sessions))
    return [await writer.put_raw(each, VALUE) + 1 for each in sessions]


def _one_of_each(shards: int) -> list[str]:
    """Give a session of each shard, in their order."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < shards:
        session_id = f"filler-{number}"
        found.setdefault(shard_of(session_id, shards), session_id)
        number += 1
    return [found[shard] for shard in range(shards)]


async def _crowd(
    gateway: Gateway, writer: Writer, count: int, ends: list[int], shards: int
) -> Waits:
    waits, gate = Waits(), asyncio.Semaphore(AT_ONCE)
    honest = [f"honest-{count}-{number}" for number in range(HONEST)]
    cursors = await asyncio.gather(*(_left(gateway, writer, each) for each in honest))
    await asyncio.sleep(AWAY_S)

    async def back(session_id: str, cursor: str) -> None:
        async with Client(gateway.url, session_id, f"?cursor={cursor}") as client:
            await client.until(lambda: client.text() == "missed")

    async def old(session_id: str) -> None:
        shard = shard_of(session_id, shards)
        offset = random.randrange(ends[shard])
        async with Client(
            gateway.url, session_id, f"?cursor={writer.cursor(session_id, offset)}"
        ) as client:
            await client.joined()

    async def timed(waits_s: list[float], come: Callable[[], Awaitable[None]]) -> None:
        async with gate:
            began = time.monotonic()
            await come()
            waits_s.append(time.monotonic() - began)

    comers = [(waits.old, partial(old, f"old-{count}-{number}")) for number in range(count)]
    comers += [
        (waits.honest, partial(back, session_id, cursor))
        for session_id, cursor in zip(honest, cursors, strict=True)
    ]
    random.shuffle(comers)
    await asyncio.gather(*(timed(waits_s, come) for waits_s, come in comers))
    return waits


async def _left(gateway: Gateway, writer: Writer, session_id: str) -> str:
    """Connect, leave, and miss an answer; give the cursor to come back with."""
    async with Client(gateway.url, session_id) as client:
        await client.joined()
        cursor = str(client.of_type("snapshot")[0]["cursor"])
    await writer.answer(session_id, "m1", ["missed"])
    return cursor


def at(waits_s: list[float], share: float) -> float:
    """Give what so large a share of the sorted waits does not pass."""
    return waits_s[min(int(len(waits_s) * share), len(waits_s) - 1)]


if __name__ == "__main__":
    main()
