"""Knows how long a new message would wait, from what the workers tell each second.

While nobody asks about a message it listens seldom: who stands idle has no message to refuse. The
first one that comes has it listen at once.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

from gateway.limits.rules import Over
from gateway.redis_client import RedisClient
from schemas import redis_keys
from schemas.load import Load, Wait, decode, wait_of

ASK_EVERY_S = 1.0
ASK_AT_REST_EVERY_S = 3.0
OLD_AFTER = 5
"""A worker that has told nothing new so often has stopped: what it has is others' by now."""
GONE_AFTER = 60
RETRY_MIN_S, RETRY_MAX_S = 1.0, 60.0


@dataclass(slots=True)
class _Heard:
    load: Load
    old: int = 0


class Overload:
    """`busy_after_s`: what would wait longer is refused; 0: nothing is."""

    def __init__(self, redis: RedisClient, busy_after_s: float) -> None:
        self._redis = redis
        self._busy_after_s = busy_after_s
        self._heard: dict[str, _Heard] = {}
        self._waits: dict[int, Wait | None] = {}
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Ask again and again, until cancelled."""
        while True:
            self.hear(await self._redis.fields(redis_keys.load()))
            await self._redis.drop_fields(redis_keys.load(), self.forgotten())
            self._wanted.clear()
            await asyncio.sleep(ASK_EVERY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_AT_REST_EVERY_S - ASK_EVERY_S):
                    await self._wanted.wait()

    def hear(self, told: dict[bytes, bytes]) -> None:
        """Take what all workers have told; what is not there is not known any more."""
        loads = {name.decode(errors="replace"): decode(value) for name, value in told.items()}
        heard: dict[str, _Heard] = {}
        for name, load in loads.items():
            before = self._heard.get(name)
            if load is not None and before is not None and before.load.told == load.told:
                heard[name] = _Heard(load, before.old + 1)
            elif load is not None:
                heard[name] = _Heard(load)
        self._heard = heard
        self._waits = {
            shard: wait_of(each.load)
            for each in reversed(heard.values())  # of two that have a shard the first counts
            if each.old < OLD_AFTER
            for shard in each.load.shards
        }

    def forgotten(self) -> list[bytes]:
        """Give the workers that have told nothing new for so long that they never will."""
        return [name.encode() for name, heard in self._heard.items() if heard.old >= GONE_AFTER]

    def wait(self, shard: int) -> Wait | None:
        """Give how long a new message of the shard waits; None: not at all, or nobody knows."""
        self._wanted.set()
        return self._waits.get(shard)

    def over(self, shard: int) -> Over | None:
        """Say that a new message of the shard would wait too long."""
        wait = self.wait(shard) if self._busy_after_s else None
        if wait is None or wait.eta_s <= self._busy_after_s:
            return None
        too_long_s = min(max(wait.eta_s - self._busy_after_s, RETRY_MIN_S), RETRY_MAX_S)
        retry_s = too_long_s * random.uniform(1.0, 2.0)  # noqa: S311 - they come back spread
        return Over("busy_after_s", round(self._busy_after_s), round(retry_s * 1000))
