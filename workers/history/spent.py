"""Notes in Redis what of a user's messages has ended, and what it has cost: the gateways' limits.

It is noted when the message is acknowledged, by the process that has read its end back. What can't
be noted is tried again for a while and then forgotten: a gateway lets it go by itself.
"""

import asyncio
from collections.abc import Callable
from importlib.resources import files

import structlog

from schemas import redis_keys
from schemas.process.redis_client import AWAY, RedisClient
from workers.intake.actions import NoteEnd

log = structlog.get_logger(__name__)

CALL_LIMIT_S = 1.0
AT_ONCE = 8
"""Fewer than the client has connections: histories need them too."""
AGAIN_S = 2.0
TRIED_S = 60.0
WAITING_MAX = 10_000


class Spent:
    """`forgone` is called for each note that is given up."""

    def __init__(self, client: RedisClient, forgone: Callable[[], object]) -> None:
        script = files("workers.history").joinpath("message_ended.lua").read_text()
        self._place = client.place
        self._script = client.redis.register_script(script)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._forgone = forgone

    async def note(self, ended: NoteEnd) -> None:
        """Note it, or give up after TRIED_S; nothing waits for it."""
        if self._waiting >= WAITING_MAX:
            self._forgone()
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(TRIED_S):
                while not await self._noted(ended):  # noqa: ASYNC110 - Redis tells nobody
                    await asyncio.sleep(AGAIN_S)
        except TimeoutError:
            self._forgone()
            log.warning("what a user has spent is not noted: Redis is away", user=ended.user)
        finally:
            self._waiting -= 1

    async def _noted(self, ended: NoteEnd) -> bool:
        message = redis_keys.open_message(*ended.key)
        keys = [
            redis_keys.limits("user", ended.user),
            redis_keys.counted(ended.user, message),
        ]
        lives = [redis_keys.COUNTED_S, redis_keys.LIMITS_LIVE_S]
        try:
            async with self._slots, asyncio.timeout(CALL_LIMIT_S), self._place():
                await self._script(keys=keys, args=[message, ended.tokens, *lives])
        except AWAY:
            return False
        return True
