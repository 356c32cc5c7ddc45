"""Rows of a real Postgres, asked for by thousands that leave before they are given them."""

import asyncio
import random
from types import SimpleNamespace
from typing import Any, cast

from gateway.counters import Counters
from gateway.snapshot.snapshots import Snapshots
from gateway.snapshot.stored import POOL_MAX, Store
from schemas.shard_log import ShardLog
from schemas.transcript import Place
from tests.stack import RunningStack

LEAVE = 3000


async def test_after_thousands_of_joins_that_left_the_pool_is_whole(servers: RunningStack) -> None:
    store = Store(servers.file.postgres, servers.epoch)
    tail = SimpleNamespace(log_starts={0: 0}, shard_logs=[ShardLog(0)])
    snapshots = Snapshots(store, cast(Any, tail), servers.epoch, Counters())
    chance = random.Random(1)
    await store.open()
    try:
        for _ in range(LEAVE // 50):
            joins = [
                asyncio.create_task(snapshots.fold("nobody", 0, Place(servers.epoch, 0), 0))
                for _ in range(50)
            ]
            await asyncio.sleep(chance.random() * 0.01)
            for join in joins:
                join.cancel()
            await asyncio.wait(joins)
        async with asyncio.timeout(60):
            while snapshots._reads:
                await asyncio.wait(snapshots._reads)
        # Every connection of the pool can be had at once.
        async with asyncio.TaskGroup() as tasks:
            for _ in range(POOL_MAX):
                tasks.create_task(snapshots.fold("nobody", 0, Place(servers.epoch, 0), 0))
        stats = store._pool.get_stats()
        assert stats["pool_available"] == stats["pool_size"] <= POOL_MAX
    finally:
        await store.close()
