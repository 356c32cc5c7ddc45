"""A client on one socket: says what a test says, keeps every frame, folds them as a page does."""

import asyncio
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from schemas import cursor as cursors
from schemas import events
from schemas.transcript import Message, Outcome, Place, Transcript
from tests.waiting import WITHIN_S, Changes

_LOG_TYPES = {
    "status",
    "ai_response_chunk",
    "ai_response_complete",
    "error",
    "session_forgotten",
}


class Reader:
    """One connection to one session: `async with Reader(url, "s1") as reader`."""

    def __init__(self, url: str, session_id: str, query: str = "") -> None:
        base = url.replace("http://", "ws://")
        self._address = f"{base}/ws/chat/{session_id}/{query}"
        self.session_id = session_id
        self.frames: list[dict[str, Any]] = []
        self.transcript = Transcript()
        self.outcomes: list[tuple[Outcome, str]] = []
        self._changes = Changes()
        self._socket: ClientConnection
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._socket = await connect(
            self._address, compression=None, max_size=None, open_timeout=WITHIN_S
        )
        self._reading = asyncio.create_task(self._read())
        await self.until(lambda: self._joined())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._socket.close()
        await self._reading

    async def send(self, frame: dict[str, Any]) -> None:
        """Send one frame as it is."""
        await self._socket.send(json.dumps(frame))

    async def ask(self, content: str, message_id: str, **fields: Any) -> None:
        """Send a user_message and wait until it is accepted."""
        await self.send(
            {"type": "user_message", "content": content, "message_id": message_id, **fields}
        )
        await self.until(lambda: self.accepted(message_id))

    async def ended(self, message_id: str, deadline_s: float = WITHIN_S) -> Message:
        """Wait for the message's terminal and give its state."""
        await self.until(lambda: self.message(message_id).terminal, deadline_s)
        return self.message(message_id)

    async def until(self, condition: Callable[[], object], deadline_s: float = WITHIN_S) -> None:
        """Wait until the frames so far make the condition true.

        Raises:
            AssertionError: it did not come true in time, or the socket was closed; with the frames.
        """

        def holds() -> bool:
            if condition():
                return True
            assert not self._reading.done(), f"closed; {self.frames[-5:]}"
            return False

        await self._changes.until(holds, deadline_s, lambda: f"the last: {self.frames[-5:]}")

    def message(self, message_id: str) -> Message:
        """What the fold says of a message; a queued one if it says nothing yet."""
        return self.transcript.messages.get(message_id, Message(message_id))

    def accepted(self, message_id: str) -> bool:
        """Whether the gateway has accepted it."""
        return any(
            f.get("state") == "accepted" and f.get("message_id") == message_id for f in self.frames
        )

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Every frame of a type."""
        return [frame for frame in self.frames if frame["type"] == kind]

    def _joined(self) -> bool:
        """Told what there was, or that it can't be had now: what comes from here on is live."""
        return bool(self.of_type("snapshot")) or any(
            frame.get("state") == "history_unavailable" or frame.get("recovered")
            for frame in self.frames
        )

    async def _read(self) -> None:
        async for text in self._socket:
            frame = json.loads(text)
            self.frames.append(frame)
            if frame["type"] in _LOG_TYPES and "cursor" in frame:
                self._fold(frame, text)
            self._changes.tell()
        self._changes.tell()

    def _fold(self, frame: dict[str, Any], text: str | bytes) -> None:
        place = cursors.parse(frame["cursor"])
        raw = text if isinstance(text, bytes) else text.encode()
        event = events.decode_session_event(raw)
        if event is None:
            return
        outcome = self.transcript.apply(
            event, Place(place.epoch, place.offset), frame.get("first_sequence")
        )
        self.outcomes.append((outcome, frame["type"]))
