"""The history of a session in Redis: a memory of the log that may be lost, but never wrong.

`session:{id}` holds `{"history": [turns], "last_updated": ISO}`. It is written by one script that
merges and trims in one step (redis_history.lua) and never makes the key out of a part: on a
missing key the caller rebuilds the whole conversation and stores that. A partial rebuild must not
be stored. Every merge may be repeated, so an unknown outcome is answered by doing it again.

Nothing here waits longer than its limit; whatever Redis does becomes HistoryUnavailable.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.resources import files
from typing import Literal

import msgspec

from schemas import redis_keys
from schemas.process.redis_client import AWAY, RedisClient, reason, redis_client
from workers.history.prompt import Turn

CALL_LIMIT_S = 1.0
CONNECTIONS_MAX = 48
"""More than `sessions` uses at once: who waits for a connection must not take Redis for away."""


class HistoryUnavailable(Exception):
    """Redis did not answer (in time): the outcome is unknown, and nothing is known of the history.

    Read: rebuild the conversation instead. Written: do it again later.
    """


class _Stored(msgspec.Struct):
    history: list[Turn]


_decode = msgspec.json.Decoder(_Stored).decode
_encode = msgspec.json.Encoder().encode


def connect(url: str) -> RedisClient:
    """A client for History. Nothing is sent yet; close it with `aclose`."""
    return redis_client(url, connections_max=CONNECTIONS_MAX, answer_limit_s=CALL_LIMIT_S)


class History:
    """Reads and merges the histories of sessions. `now` is the wall clock, in UTC."""

    def __init__(
        self,
        client: RedisClient,
        *,
        now: Callable[[], datetime],
        budget_tokens: int,
        ttl_s: int = redis_keys.SESSION_TTL_S,
        call_limit_s: float = CALL_LIMIT_S,
    ) -> None:
        self._redis, self._place = client.redis, client.place
        self._now = now
        self._budget_tokens = budget_tokens
        self._ttl_s = ttl_s
        self._call_limit_s = call_limit_s
        script = files("workers.history").joinpath("redis_history.lua").read_text()
        self._merge_script = self._redis.register_script(script)
        script = files("workers.history").joinpath("forget_session.lua").read_text()
        self._forget_script = self._redis.register_script(script)

    async def load(self, session_id: str) -> list[Turn] | None:
        """Give the turns in order, and another day to live; None if missing (or unreadable).

        Raises HistoryUnavailable.
        """
        async with self._limited():
            value = await self._redis.getex(redis_keys.session(session_id), ex=self._ttl_s)
        if value is None:
            return None
        try:
            return _decode(value).history
        except (ValueError, RecursionError):
            return None  # somebody else's value: a rebuild writes over it

    async def merge(self, session_id: str, turns: Sequence[Turn]) -> Literal["stored", "missing"]:
        """Add turns to a history that is there; `missing`: rebuild, then `store_whole`.

        Raises HistoryUnavailable.
        """
        return await self._merge(session_id, turns, whole=False)

    async def store_whole(self, session_id: str, turns: Sequence[Turn]) -> None:
        """Store a rebuilt conversation, merged with what was stored meanwhile.

        `turns` must be the whole conversation, or at least its newest part beyond the budget.
        Raises HistoryUnavailable.
        """
        await self._merge(session_id, turns, whole=True)

    async def forget(self, session_id: str) -> None:
        """Remove a history that may be wrong; the next use rebuilds it. HistoryUnavailable."""
        async with self._limited():
            await self._redis.delete(redis_keys.session(session_id))

    async def forget_session(self, session_id: str, epoch: int, offset: int) -> int:
        """Remove the history of a session that was forgotten there; no turn of before comes back.

        Gives how many keys there were. Raises HistoryUnavailable.
        """
        keys = [redis_keys.session(session_id), redis_keys.forgotten(session_id)]
        async with self._limited():
            args = [epoch, offset, redis_keys.SESSION_TTL_S]
            return int(await self._forget_script(keys=keys, args=args))

    async def _merge(
        self, session_id: str, turns: Sequence[Turn], *, whole: bool
    ) -> Literal["stored", "missing"]:
        arguments: list[str | bytes | int] = [
            _encode(turns),
            self._budget_tokens,
            self._ttl_s,
            self._now().isoformat(timespec="milliseconds"),
            int(whole),
        ]
        async with self._limited():
            outcome = await self._merge_script(
                keys=[redis_keys.session(session_id), redis_keys.forgotten(session_id)],
                args=arguments,
            )
        return "stored" if outcome == b"stored" else "missing"

    @asynccontextmanager
    async def _limited(self) -> AsyncIterator[None]:
        """One call: bounded here, as the client retries and reconnects on its own."""
        try:
            async with asyncio.timeout(self._call_limit_s), self._place():
                yield
        except AWAY as error:
            raise HistoryUnavailable(reason(error)) from error
