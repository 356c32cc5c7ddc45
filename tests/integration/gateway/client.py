"""A WebSocket client that keeps every frame, and folds them as a page does."""

import asyncio
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.waiting import WITHIN_S, Changes

Frame = dict[str, Any]


class Client:
    """One connection: `async with Client(gateway.url, "s1") as client`."""

    def __init__(self, url: str, session_id: str, query: str = "", **options: Any) -> None:
        self.address = f"{url}/ws/chat/{session_id}/{query}"
        self.frames: list[Frame] = []
        self._options = options
        self._changes = Changes()
        self.socket: ClientConnection
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self.socket = await connect(
            self.address,
            compression=None,
            max_size=None,
            ping_interval=None,
            open_timeout=WITHIN_S,
            **self._options,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.socket.close()
        await self._reading

    async def send(self, frame: Frame | str | bytes) -> None:
        """Send a frame, or the very text or bytes."""
        await self.socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def got(self, condition: Callable[[Frame], object], count: int = 1) -> Frame:
        """Wait for the count-th frame that meets the condition and give it."""
        met: list[Frame] = []
        await self.until(lambda: len(met := [f for f in self.frames if condition(f)]) >= count)
        met = [f for f in self.frames if condition(f)]
        return met[count - 1]

    async def until(self, condition: Callable[[], object], deadline_s: float = WITHIN_S) -> None:
        """Wait until the frames so far make the condition true."""

        def holds() -> bool:
            if condition():
                return True
            assert not self._reading.done(), f"closed {self.closed}; {self.frames[-5:]}"
            return False

        await self._changes.until(holds, deadline_s, lambda: f"the last: {self.frames[-5:]}")

    async def until_closed(self, deadline_s: float = WITHIN_S) -> tuple[int | None, str | None]:
        """Wait until the server has closed the socket; give code and reason."""
        await asyncio.wait_for(asyncio.shield(self._reading), deadline_s)
        return self.closed

    @property
    def closed(self) -> tuple[int | None, str | None]:
        return self.socket.close_code, self.socket.close_reason

    def of_type(self, kind: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def states(self) -> list[str]:
        """Every frame's state, or its type."""
        return [str(frame.get("state", frame["type"])) for frame in self.frames]

    def text(self) -> str:
        """All chunks as they came."""
        return "".join(frame["content"] for frame in self.of_type("ai_response_chunk"))

    def log_frames(self) -> list[Frame]:
        """Those that stand for an event of the log."""
        kinds = {"status", "ai_response_chunk", "ai_response_complete", "error"}
        return [frame for frame in self.frames if "cursor" in frame and frame["type"] in kinds]

    async def joined(self) -> Self:
        """Wait until the client knows where it stands."""
        await self.until(
            lambda: self.of_type("snapshot") or any(frame.get("recovered") for frame in self.frames)
        )
        return self

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                self.frames.append(json.loads(text))
                self._changes.tell()
        except ConnectionClosed:
            return
        finally:
            self._changes.tell()
