"""A gateway whose log is a list in memory, and whose worker is the test.

Everything that decides is the real thing: protocol, addresses, merging, the fold, the page's files
and their headers. Only Kafka, Redis and Postgres are missing, so a browser test says exactly which
frames come, in which order, and when the network breaks.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from gateway.feed.delivery import frames_of
from gateway.page.page_files import PageFiles, text
from gateway.socket import address
from gateway.socket.protocol import Close, GiveEarlier, Protocol, Send, StopAnswer, Submit, refused
from schemas import cursor, events, frames
from schemas.close_codes import CloseCode
from schemas.events import (
    Chunk,
    Complete,
    Error,
    FinishReason,
    Prompt,
    ReasoningChunk,
    Status,
    UserMessage,
)
from schemas.frames import Frame, GatewayErrorCode
from schemas.shard_log import Record
from schemas.transcript import Place, Transcript
from tests.browser.snapshots import earlier_than, snapshot_of
from tests.transports import cut_all

EPOCH, SHARD = 1, 0
PREFIX = f"{EPOCH}.{SHARD}."
CREATED_AT = "2026-01-05T10:00:00.000Z"
GIVE_UP_S = 10.0


@dataclass(eq=False)
class Follower:
    """One socket and the offset of the next record that it needs."""

    socket: ServerConnection
    session_id: str
    position: int


class FakeGateway:
    """Listens on a free port; the attributes say how it behaves from now on."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.asked: asyncio.Queue[UserMessage] = asyncio.Queue()
        self.submitted: list[UserMessage] = []
        self.stops: asyncio.Queue[StopAnswer] = asyncio.Queue()
        self.addresses: list[address.Address] = []
        self.port = 0
        self.held = False  # frames wait in the log, as behind a slow network
        self.accepts = True  # says `accepted`; else nothing comes back
        self.resumes = True  # a cursor is honoured
        self.can_stop = True
        self.folder = ""  # where a proxy has put it: taken off every path
        self.postgres = True  # else there is no snapshot
        self.refuses: GatewayErrorCode | None = None  # every message, with this code
        self.closes: CloseCode | None = None  # every connection, with this code
        self.asks = False  # for a token, as the first frame
        self.tokens: list[str] = []
        self._followers: set[Follower] = set()
        self._joins = 0
        self._joined = asyncio.Condition()
        self._server: Server | None = None
        self._page = PageFiles()
        self._ids = (f"made-{number}" for number in itertools.count())

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self.port}/"

    async def listen(self) -> None:
        """Open the port (the same one again, after `stop_listening`)."""
        self._server = await serve(
            self._serve, "127.0.0.1", self.port, process_request=self._http, compression=None
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop_listening(self) -> None:
        """Close the port; sockets that are open break without a close frame, as at a crash."""
        assert self._server is not None
        self._server.close(close_connections=False)
        self.cut()
        await self._server.wait_closed()
        await cut_all(self.port)  # a browser keeps connections ready, on which nothing is said

    def cut(self) -> None:
        """Break every socket without a word."""
        for follower in list(self._followers):
            follower.socket.transport.abort()

    async def close_all(self, code: int, reason: str = "") -> None:
        """Close every socket with this code."""
        for follower in list(self._followers):
            await follower.socket.close(code, reason)

    async def say(self, frame: Frame) -> None:
        """Say something to every socket."""
        for follower in list(self._followers):
            await follower.socket.send(frames.encode(frame).decode())

    async def next_asked(self) -> UserMessage:
        """Wait for the next message that a page submits."""
        return await asyncio.wait_for(self.asked.get(), GIVE_UP_S)

    async def next_stop(self) -> StopAnswer:
        """Wait for the next stop that a page asks for."""
        return await asyncio.wait_for(self.stops.get(), GIVE_UP_S)

    async def until_connected(self, count: int) -> None:
        """Wait until so many connections were made, and the newest is given frames."""
        async with asyncio.timeout(GIVE_UP_S), self._joined:
            await self._joined.wait_for(lambda: self._joins >= count)

    # What a worker writes.

    async def write(self, event: events.SessionEvent) -> None:
        """Append to the log, and give it to whoever follows (unless `held`)."""
        value = events.encode(event)
        self.records.append(Record(len(self.records), 0, event.session_id, value))
        await self.deliver()

    async def queued(self, message: UserMessage, position: int) -> None:
        """Say that it waits."""
        prompt = Prompt(content=message.content, created_at=CREATED_AT)
        await self.write(Status(**_of(message), state="queued", prompt=prompt, position=position))

    async def start(self, message: UserMessage, attempt: str = "a1", generation: int = 1) -> None:
        """Start an attempt."""
        prompt = Prompt(content=message.content, created_at=CREATED_AT)
        status = Status(
            **_of(message),
            state="generating",
            attempt=attempt,
            fence=(EPOCH, generation, 0),
            prompt=prompt,
            model="scripted",
            worker="test",
        )
        await self.write(status)

    async def chunk(
        self, message: UserMessage, sequence: int, content: str, attempt: str = "a1"
    ) -> None:
        """Write a piece of the answer."""
        chunk = Chunk(**_of(message), attempt=attempt, sequence=sequence, content=content)
        await self.write(chunk)

    async def thought(
        self, message: UserMessage, sequence: int, content: str, attempt: str = "a1"
    ) -> None:
        """Write a piece of the reasoning."""
        await self.write(
            ReasoningChunk(**_of(message), attempt=attempt, sequence=sequence, content=content)
        )

    async def complete(
        self,
        message: UserMessage,
        last_sequence: int,
        finish_reason: FinishReason = "stop",
        attempt: str = "a1",
        *,
        reasoning_ms: int | None = None,
        tool_calls: int = 0,
    ) -> None:
        """End the answer."""
        timing = events.Timing(queued_ms=2, first_token_ms=80, total_ms=1200)
        if reasoning_ms is not None:
            timing = replace(timing, reasoning_ms=reasoning_ms)
        end = Complete(
            **_of(message),
            attempt=attempt,
            last_sequence=last_sequence,
            finish_reason=finish_reason,
            usage=events.Usage(prompt_tokens=9, completion_tokens=last_sequence),
            timing=timing,
            tool_calls_ignored=tool_calls,
        )
        await self.write(end)

    async def end_unstarted(self, message: UserMessage, finish_reason: FinishReason) -> None:
        """End a message that never started."""
        prompt = Prompt(content=message.content, created_at=CREATED_AT)
        end = Complete(
            **_of(message),
            attempt=None,
            last_sequence=0,
            finish_reason=finish_reason,
            prompt=prompt,
        )
        await self.write(end)

    async def fail(
        self, message: UserMessage, code: events.ErrorCode, retryable: bool = True
    ) -> None:
        """End the answer with an error."""
        text = "upstream said 503 <b>no</b>"
        error = Error(**_of(message), attempt="a1", code=code, message=text, retryable=retryable)
        await self.write(error)

    async def answer(self, message: UserMessage, content: str) -> None:
        """Answer in one piece."""
        await self.start(message)
        await self.chunk(message, 1, content)
        await self.complete(message, 1)

    async def deliver(self) -> None:
        """Give every follower what it has not had; what waited together is merged."""
        if self.held:
            return
        for follower in list(self._followers):
            records = self.records[follower.position :]
            follower.position = len(self.records)
            of_session = [r for r in records if r.session_id == follower.session_id]
            for frame in frames_of(of_session, follower.session_id, PREFIX):
                await _send(follower.socket, frame)

    # What a gateway does.

    async def _http(self, _: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return None
        path = urlsplit(request.path).path
        if not path.startswith(self.folder + "/"):
            return text(404, "not found\n")
        path = path.removeprefix(self.folder)
        answer = await asyncio.to_thread(self._page.answer, path, request.headers)
        return answer or text(404, "not found\n")

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        try:
            asked = address.parse(socket.request.path.removeprefix(self.folder))
        except address.BadAddress as bad:
            await socket.close(CloseCode.BAD_SESSION, str(bad))
            return
        self.addresses.append(asked)
        if self.asks:
            self.tokens.append(json.loads(await socket.recv())["token"])
        if self.closes is not None:
            await socket.close(self.closes)
            return
        follower = Follower(socket, asked.session_id, len(self.records))
        try:
            await self._join(follower, asked)
            self._followers.add(follower)
            await self.deliver()
            async with self._joined:
                self._joins += 1
                self._joined.notify_all()
            await self._read(follower)
        except ConnectionClosed:
            pass
        finally:
            self._followers.discard(follower)

    async def _join(self, follower: Follower, asked: address.Address) -> None:
        recovered = self._recovered(asked.cursor)
        if recovered:
            assert asked.cursor is not None
            follower.position = cursor.parse(asked.cursor).offset + 1
        session_id = asked.session_id
        connected = frames.Connected(
            session_id=session_id, recovered=recovered, epoch=EPOCH, shards=1
        )
        await _send(follower.socket, frames.encode(connected))
        if recovered:
            return
        if not self.postgres:
            missing = frames.HistoryUnavailable(session_id=session_id)
            await _send(follower.socket, frames.encode(missing))
            return
        transcript = self._transcript(session_id)
        follower.position = len(self.records)
        place = f"{PREFIX}{follower.position - 1}"
        snapshot = snapshot_of(transcript, session_id, place, asked.history)
        await _send(follower.socket, frames.encode(snapshot))

    def _transcript(self, session_id: str) -> Transcript:
        transcript = Transcript()
        for record in self.records:
            event = events.decode_session_event(record.value)
            if event is not None and event.session_id == session_id:
                transcript.apply(event, Place(EPOCH, record.offset))
        return transcript

    def _recovered(self, asked: str | None) -> bool | None:
        if asked is None:
            return None
        try:
            place = cursor.parse(asked)
        except cursor.BadCursor:
            return False
        return self.resumes and place.epoch == EPOCH and place.offset < len(self.records)

    async def _read(self, follower: Follower) -> None:
        protocol = Protocol(follower.session_id, 0.0, lambda: next(self._ids))
        async for frame in follower.socket:
            for action in protocol.receive(frame, CREATED_AT):
                await self._perform(follower, action)

    async def _perform(self, follower: Follower, action: object) -> None:
        if isinstance(action, Send):
            await _send(follower.socket, frames.encode(action.frame))
        elif isinstance(action, Close):
            await follower.socket.close(action.code, action.reason)
        elif isinstance(action, StopAnswer):
            await self._stop(follower, action)
        elif isinstance(action, GiveEarlier):
            transcript = self._transcript(follower.session_id)
            page = earlier_than(transcript, follower.session_id, action)
            await _send(follower.socket, frames.encode(page))
        elif isinstance(action, Submit):
            await self._submit(follower, action.message)

    async def _stop(self, follower: Follower, stop: StopAnswer) -> None:
        self.stops.put_nowait(stop)
        if not self.can_stop:
            said = refused(follower.session_id, "unsupported", "not built", stop.message_id)
            await _send(follower.socket, frames.encode(said))

    async def _submit(self, follower: Follower, message: UserMessage) -> None:
        self.submitted.append(message)
        if self.refuses is not None:
            said = refused(follower.session_id, self.refuses, "no", message.message_id)
            await _send(follower.socket, frames.encode(said))
            return
        again = any(m.message_id == message.message_id for m in self.submitted[:-1])
        if self.accepts:
            accepted = frames.Accepted(
                session_id=follower.session_id,
                message_id=message.message_id,
                duplicate=again,
                created_at=CREATED_AT,
            )
            await _send(follower.socket, frames.encode(accepted))
        self.asked.put_nowait(message)


@asynccontextmanager
async def running() -> AsyncIterator[FakeGateway]:
    """A gateway that listens until the end of the block."""
    gateway = FakeGateway()
    await gateway.listen()
    try:
        yield gateway
    finally:
        await gateway.stop_listening()


async def _send(socket: ServerConnection, frame: bytes) -> None:
    with suppress(ConnectionClosed):  # it comes back and resumes
        await socket.send(frame.decode())


def _of(message: UserMessage) -> dict[str, Any]:
    return {
        "session_id": message.session_id,
        "message_id": message.message_id,
        "created_at": CREATED_AT,
    }
