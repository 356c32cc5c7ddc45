"""Asks Redis for a short time, and leaves it alone for a while when it does not answer.

Nothing in a gateway is wrong without Redis, so nothing may wait for it: an answer that does not
come is None, at once for a while, told once and counted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import cast

import structlog

from gateway.counters import Counters
from schemas.process.redis_client import AWAY, UNKNOWN_SCRIPT, reason, redis_client
from schemas.process.redis_client import RedisClient as Connected

log = structlog.get_logger(__name__)

CONNECTIONS_MAX = 50
LEAVE_ALONE_S = 5.0

Asked = tuple[Sequence[str], Sequence[str | int]]
"""Keys and arguments of a script."""


class Script:
    """A script in Redis. Where that is away it gives None."""

    def __init__(self, ask: Callable[..., Awaitable[object]], client: Connected, text: str) -> None:
        self._ask, self._client = ask, client
        self._registered = client.redis.register_script(text)

    async def __call__(self, keys: Sequence[str], args: Sequence[str | int]) -> object:
        """Run it."""
        return await self._ask(lambda: self._registered(keys=keys, args=args))

    async def for_each(self, asked: Sequence[Asked]) -> Sequence[object]:
        """Run it for each, in one question but where a cluster may keep their keys apart."""
        if len(asked) < 2 or self._client.is_cluster:
            return await asyncio.gather(*(self(*each) for each in asked))
        found = await self._ask(lambda: self._at_once(asked))
        return found if isinstance(found, list) else [None] * len(asked)

    async def _at_once(self, asked: Sequence[Asked]) -> list[object]:
        pipeline = self._client.redis.pipeline(transaction=False)
        for keys, args in asked:
            pipeline.evalsha(self._registered.sha, len(keys), *keys, *args)
        found = await pipeline.execute(raise_on_error=False)
        for at, (keys, args) in enumerate(asked):
            if isinstance(found[at], UNKNOWN_SCRIPT):  # the server is new: this makes it known
                found[at] = await self._registered(keys=keys, args=args)
            elif isinstance(found[at], Exception):
                raise found[at]
        return list(found)


class RedisClient:
    """One gateway's connections to Redis."""

    def __init__(self, url: str, counters: Counters, *, answer_limit_ms: int) -> None:
        self._limit_s = answer_limit_ms / 1000
        self._client = redis_client(
            url, connections_max=CONNECTIONS_MAX, answer_limit_s=self._limit_s
        )
        self._redis = self._client.redis
        self._counters = counters
        self._away = False
        self._ask_again_at_s = 0.0

    def script(self, folder: str, name: str) -> Script:
        """Give what runs the Lua file `name` of the package `folder`."""
        return Script(self._ask, self._client, files(folder).joinpath(name).read_text())

    async def exists(self, key: str) -> bool | None:
        """Say whether there is such a key; None: Redis is away."""
        held = await self._ask(lambda: self._redis.exists(key))
        return None if held is None else bool(held)

    async def set_all(self, values: Mapping[str, str], lives_s: int) -> None:
        """Set these keys for so long."""

        async def written() -> None:
            pipeline = self._redis.pipeline(transaction=False)
            for key, value in values.items():
                pipeline.set(key, value, ex=lives_s)
            await pipeline.execute()

        if values:
            await self._ask(written)

    async def fields(self, key: str) -> dict[bytes, bytes]:
        """Give all of a hash; nothing while Redis is away."""
        held = await self._ask(lambda: cast(Awaitable[object], self._redis.hgetall(key)))
        return held if isinstance(held, dict) else {}

    async def drop_fields(self, key: str, names: Sequence[bytes]) -> None:
        """Take fields out of a hash."""
        if names:
            await self._ask(lambda: cast(Awaitable[object], self._redis.hdel(key, *names)))

    async def set_fields(self, field: str, values: Sequence[tuple[str, int]], lives_s: int) -> bool:
        """Set the field in many hashes, each to its number; 0 takes it out. False: away."""

        async def written() -> bool:
            pipeline = self._redis.pipeline(transaction=False)
            for key, value in values:
                if value:
                    pipeline.hset(key, field, str(value))
                    pipeline.expire(key, lives_s)
                else:
                    pipeline.hdel(key, field)
            await pipeline.execute()
            return True

        return await self._ask(written) is not None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def away(self) -> int:
        """1 while Redis does not answer, as far as is known; else 0."""
        return int(self._away)

    async def _ask(self, question: Callable[[], Awaitable[object]]) -> object:
        loop = asyncio.get_running_loop()
        if loop.time() < self._ask_again_at_s:
            return None
        try:
            # Twice: to wait for a connection, then for the answer.
            async with asyncio.timeout(2 * self._limit_s), self._client.place():
                answer = await question()
        except AWAY as error:
            self._ask_again_at_s = loop.time() + LEAVE_ALONE_S
            self._counters.redis_failures += 1
            if not self._away:
                log.warning("Redis is away: no claims, and limits of our own", error=reason(error))
            self._away = True
            return None
        if self._away:
            log.info("Redis answers again")
        self._away = False
        return answer
