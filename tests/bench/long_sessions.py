"""`python -m tests.bench.long_sessions`: does a join cost the same, whatever the session's length?

Sessions of 100, 1,000, 10,000 and 100,000 messages lie in Postgres; a snapshot's fold of each is
made again and again, with 20 messages of history. Servers are its own; nothing else runs there.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import psycopg

from gateway.counters import Counters
from gateway.snapshot.snapshots import Snapshots
from gateway.snapshot.stored import Store
from schemas.shard_log import ShardLog
from schemas.topics import SESSION_LOG
from schemas.transcript import Place
from tests.bench.measured import bench_folder
from tests.stack import running_stack

SIZES = (100, 1_000, 10_000, 100_000)
JOINS = 200
HISTORY = 20
SHARD = 900  # none of the stack's own
RATIO_MAX = 1.5


def main() -> int:
    """Print the median and the slowest of each; exits 1 if the longest costs too much more."""
    with bench_folder() as folder, running_stack(folder, servers_only=True) as servers:
        fill(servers.file.postgres, servers.epoch, SIZES)
        joins = asyncio.run(measured(servers.file.postgres, servers.epoch, SIZES))
    for size, each in joins.items():
        took = f"{statistics.median(each.ms):6.2f} ms  slowest {max(each.ms):6.2f} ms"
        print(f"{size:>8,} messages  {took}")
    medians = [statistics.median(each.ms) for each in joins.values()]
    ratio = medians[-1] / medians[0]
    print(f"{SIZES[-1]:,} messages against {SIZES[0]}: {ratio:.2f} times")
    return int(ratio > RATIO_MAX)


@dataclass(slots=True)
class Joins:
    """How long each fold took, and what of it was CPU of this process, in ms."""

    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def fill(dsn: str, epoch: int, sizes: Sequence[int]) -> None:
    """Put sessions into the tables as the persister would: all ended, all still in the log."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO kafka_offsets VALUES (%s, %s, %s, 1000000)", (SESSION_LOG, SHARD, epoch)
        )
        for size in sizes:
            values = {"session": f"bench-{size}", "size": size, "epoch": epoch, "shard": SHARD}
            connection.execute(
                "INSERT INTO user_messages (session_id, message_id, content, created_at, shard)"
                " SELECT %(session)s, 'm' || n, 'a question', now(), %(shard)s"
                " FROM generate_series(1, %(size)s) n",
                values,
            )
            connection.execute(
                "INSERT INTO answers (session_id, message_id, state, attempt, fence, released,"
                " starts, unended_starts, last_sequence, first_chunk_sequence,"
                " next_chunk_sequence, damaged, finish_reason, ended_at, shard, first_epoch,"
                " first_offset, epoch, last_offset, seen_epoch, seen_offset)"
                " SELECT %(session)s, 'm' || n, 'complete', 'a', '{1,1,0}', false, 1, 0, 1, n,"
                " n + 1, false, 'stop', now(), %(shard)s, %(epoch)s, 3 * n, %(epoch)s, 3 * n + 2,"
                " %(epoch)s, 3 * n + 2 FROM generate_series(1, %(size)s) n",
                values,
            )
            connection.execute(
                "INSERT INTO streaming_messages"
                " (session_id, chunk_sequence, content, message_id, attempt, sequence)"
                " SELECT %(session)s, n, 'an answer', 'm' || n, 'a', 1"
                " FROM generate_series(1, %(size)s) n",
                values,
            )
        connection.execute("ANALYZE")


async def measured(dsn: str, epoch: int, sizes: Sequence[int]) -> dict[int, Joins]:
    store = Store(dsn, epoch)
    log = ShardLog(1_000_000)
    tail = SimpleNamespace(log_starts={SHARD: 0}, shard_logs={SHARD: log})
    snapshots = Snapshots(store, cast(Any, tail), epoch, Counters())
    await store.open()
    joins = {size: Joins() for size in sizes}
    joined = Place(epoch, 1_000_000)
    try:
        # In turn, so that whatever else the machine does meets all of them.
        for size in tuple(sizes) * JOINS:
            began, cpu = time.perf_counter(), time.process_time()
            fold = await snapshots.fold(f"bench-{size}", SHARD, joined, HISTORY)
            joins[size].ms.append(1000 * (time.perf_counter() - began))
            joins[size].cpu_ms.append(1000 * (time.process_time() - cpu))
            assert len(fold.transcript.messages) == HISTORY
    finally:
        await store.close()
    return joins


if __name__ == "__main__":
    sys.exit(main())
