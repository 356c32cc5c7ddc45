"""A client behind a proxy that comes back with its cursor, and keeps each event of the log once."""

import asyncio
import contextlib
import json
import random
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from schemas.topics import shard_of
from tests.proxies.proxy import Proxy
from tests.waiting import WITHIN_S, Changes

AGAIN_WITHIN_S = 0.5


class Follower:
    """Follows a session until it is told to stop; `async with Follower(…) as follower`."""

    def __init__(self, proxy: Proxy, token: str, session_id: str, shards: int | None) -> None:
        """`shards` None: a client that does not name its shard."""
        self.session_id = session_id
        self.text = ""
        self.sockets = 0
        """How many it has had."""
        self._proxy = proxy
        self._headers = {"Authorization": f"Bearer {token}"}
        self._shard = None if shards is None else str(shard_of(session_id, shards))
        self._cursor: str | None = None
        self._live = False
        self._changes = Changes()
        self._following: asyncio.Task[None]

    async def __aenter__(self) -> "Follower":
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._following.cancel()
        await asyncio.wait([self._following])

    async def has(self, text: str) -> None:
        """Wait until it has exactly this text of all answers."""
        await self._until(lambda: self.text == text, lambda: f"{self.text!r}, not {text!r}")

    async def live(self) -> None:
        """Wait until it is connected, and knows where it stands."""
        await self._until(lambda: self._live, lambda: f"not live, after {self.sockets} sockets")

    async def _until(self, condition: Any, what: Any) -> None:
        def holds() -> bool:
            if self._following.done():
                self._following.result()
            return bool(condition())

        await self._changes.until(holds, WITHIN_S, what)

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(WebSocketException, OSError, TimeoutError):
                await self._one_socket()
            self._live = False
            await asyncio.sleep(random.uniform(0, AGAIN_WITHIN_S))

    async def _one_socket(self) -> None:
        asked = {"cursor": self._cursor, "shard": self._shard}
        query = "&".join(f"{name}={value}" for name, value in asked.items() if value)
        async with connect(
            f"{self._proxy.url}/ws/chat/{self.session_id}/?{query}",
            additional_headers=self._headers,
            compression=None,
            ping_interval=None,
            open_timeout=WITHIN_S,
            ssl=self._proxy.tls,
        ) as socket:
            self.sockets += 1
            async for text in socket:
                self._take(json.loads(text))
                self._changes.tell()

    def _take(self, frame: dict[str, Any]) -> None:
        assert frame.get("recovered") is not False, "a cursor was not taken"
        self._live |= frame["type"] == "snapshot" or frame.get("recovered") is True
        cursor = frame.get("cursor")
        if cursor is None:
            return
        new = self._cursor is None or _offset(cursor) > _offset(self._cursor)
        if frame["type"] == "ai_response_chunk" and new:
            self.text += frame["content"]
        if new:
            self._cursor = cursor


def _offset(cursor: str) -> int:
    return int(cursor.rsplit(".", 1)[1])
