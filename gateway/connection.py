"""Runs the protocol on one socket: a position in the log on one side, a client on the other.

What comes from the log is pushed into the socket by whoever reads the log, while the socket takes
it; what the client says is read and performed one frame after another. So a connection costs one
task, and it is idle when nothing happens.
"""

import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ulid import ULID
from websockets.exceptions import ConnectionClosed

from gateway.counters import Counters
from gateway.followers import Feed, Followers, cursor_prefix
from gateway.protocol import Action, Beat, Close, Protocol, Send, StopAnswer, Submit, refused
from gateway.submit import Submitter
from gateway.tail import Tail
from gateway.websocket import WebSocket, wire
from schemas.close_codes import CloseCode
from schemas.frames import Connected, Frame, Heartbeat, Snapshot, encode
from schemas.log_reader import LogUnavailable
from schemas.shard_log import PositionGone, ShardLog


@dataclass(frozen=True, slots=True)
class Shared:
    """What the connections of a process share. `spawn` starts a task that the server waits for."""

    epoch: int
    tail: Tail
    followers: Followers
    submitter: Submitter
    counters: Counters
    models: Collection[str]
    spawn: Callable[[Coroutine[Any, Any, None]], object]


class Connection:
    """One client. `position` is the offset of the next record that it needs.

    `caught_up`: it has been given all of the session that the shard log holds, so its position is
    the log's end, wherever that moves, until the next record of the session.
    """

    __slots__ = (
        "_joined",
        "_position",
        "_protocol",
        "_shared",
        "_socket",
        "caught_up",
        "session_id",
        "shard",
    )

    def __init__(self, socket: WebSocket, session_id: str, shard: int, shared: Shared) -> None:
        self.session_id = session_id
        self.shard = shard
        self.caught_up = False
        self._position = 0
        self._joined = False
        self._socket = socket
        self._shared = shared
        self._protocol = Protocol(session_id, time.monotonic(), _new_id, shared.models)

    @property
    def position(self) -> int:
        """The offset of the next record that the client needs."""
        return max(self._position, self._log.end) if self.caught_up else self._position

    async def run(self) -> None:
        """Serve the client until its socket is closed."""
        self._shared.followers.add(self)
        try:
            await self._join()
            async for frame in self._socket:
                self._shared.counters.frames_received += 1
                for action in self._protocol.receive(frame, utc_now()):
                    await self._perform(action)
        except ConnectionClosed:
            return
        finally:
            self._shared.followers.remove(self)

    def wake(self, first_offset: int, feed: Feed) -> None:
        """Records of the session have come: give them to the client, if its socket takes them."""
        if not self._joined:
            return  # joining reads from its position anyhow
        if self.caught_up:
            self._position = max(self._position, first_offset)
            self.caught_up = False
        self._deliver(feed)

    def lose_place(self) -> None:
        """The log was trimmed, or made anew, under this connection: it has to come again."""
        self.close_soon(CloseCode.SLOW_CLIENT, "the log was trimmed before it was read")

    def tick(self, now_s: float) -> None:
        """Let time pass: a heartbeat, and the end of a client that has not kept up."""
        if not self._joined or not self._socket.open:
            return
        if not self.caught_up and self._position < self._log.start:
            self._close_slow()
        elif self.caught_up and self._socket.writable:
            for action in self._protocol.tick(now_s):
                if isinstance(action, Beat):
                    cursor = cursor_prefix(self._shared.epoch, self.shard) + str(self.position - 1)
                    self._say(Heartbeat(session_id=self.session_id, cursor=cursor))

    def say_and_close_soon(self, frame: Frame, code: CloseCode, reason: str) -> None:
        """Say a last thing, then close."""
        self._say(frame)
        self.close_soon(code, reason)

    def close_soon(self, code: CloseCode, reason: str) -> None:
        """Close the socket without waiting for it; nothing more is sent to it."""
        self._joined = False
        if self._socket.open:
            self._shared.counters.count_closed(code)
            self._shared.spawn(self._socket.close(code, reason))

    async def _join(self) -> None:
        """Fix the position before any frame of the client is read, and go live from there."""
        try:
            end = await self._shared.tail.ends.end(self.shard)
        except LogUnavailable:
            frame = refused(self.session_id, "unavailable", "the log does not answer")
            self.say_and_close_soon(frame, CloseCode.SERVICE_RESTART, "the log does not answer")
            return
        self._position = end
        self._say(Connected(session_id=self.session_id, recovered=None, epoch=self._shared.epoch))
        cursor = cursor_prefix(self._shared.epoch, self.shard) + str(end - 1)
        self._say(Snapshot(session_id=self.session_id, cursor=cursor, messages=[], ended=[]))
        self._joined = True
        self._socket.on_writable = self._go_on
        self._go_on()

    async def _perform(self, action: Action) -> None:
        match action:
            case Send(frame):
                self._say(frame)
            case Submit(message):
                self._say(await self._shared.submitter.submit(message))
            case StopAnswer():
                self._say(refused(self.session_id, "unsupported", "cancel is not built yet"))
            case Close(code, reason):
                self.close_soon(code, reason)
            case Beat():
                pass
        # A client that asks and never reads must not fill the buffer with answers.
        await self._socket.until_writable()

    def _go_on(self) -> None:
        if self._joined and not self.caught_up:
            self._deliver(Feed(self._log, self.session_id, self._shared.epoch, self.shard))

    def _deliver(self, feed: Feed) -> None:
        counters = self._shared.counters
        while not self.caught_up and self._socket.writable:
            try:
                batch = feed.after(self._position)
            except PositionGone:
                self._close_slow()
                return
            for frame in batch.frames:
                self._socket.push(frame)
                counters.frames_sent += 1
                counters.bytes_sent += len(frame)
            if batch.frames:
                self._protocol.said(time.monotonic())
            self._position, self.caught_up = batch.position, batch.caught_up

    def _close_slow(self) -> None:
        self.close_soon(CloseCode.SLOW_CLIENT, "too slow: connect again with the last cursor")

    def _say(self, frame: Frame) -> None:
        self._socket.push(wire(encode(frame)))
        self._protocol.said(time.monotonic())
        self._shared.counters.frames_sent += 1

    @property
    def _log(self) -> ShardLog:
        return self._shared.tail.shard_logs[self.shard]


def utc_now() -> str:
    """Give the wall clock's time as events carry it."""
    now = datetime.fromtimestamp(time.time(), UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _new_id() -> str:
    return str(ULID())
