"""A client of the gateway's own: what it publishes must come back on its socket, or /readyz is red.

Everything that is watched by itself can be well while nobody is given anything: the tail reads and
the followers are not woken, frames are made and not written, the producer hangs. So the whole way
is gone, again and again: producer, log, tail, followers, socket.

Where a gateway may not write into the session log (and none should, where brokers know rights: it
could forge an answer) the way begins behind the tail: followers, socket. Whether the tail reads is
told by the tail then, which asks the brokers for the log's end; and nobody tries the producer but
those who say something.

The record is an ordinary event that counts for nobody, by the fold's own rule: `alive` of an
attempt that was never started. No reader knows of it; it makes no row, no message and no turn.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import msgspec
import structlog
from ulid import ULID
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from gateway.canary.canary_watch import CanaryWatch
from gateway.socket.stamps import utc_now
from schemas.events import Status, encode
from schemas.limits import HEARTBEAT_S
from schemas.log.producer import LogProducer, SendFailed
from schemas.topics import CANARY_SESSION, SESSION_LOG, shard_of

log = structlog.get_logger(__name__)

BEATS_A_LIMIT = 3
CONNECT_TIMEOUT_S = 5.0
CANCEL_AGAIN_S = 0.5
EXCUSED_EVERY_S = 1.0
"""So often, and as often as it beats, it is looked whether the canary's shard has no leader."""
RECONNECT_FIRST_S = 0.2
RECONNECT_MOST_S = 5.0
SILENCE_LIMIT_S = 2 * HEARTBEAT_S
"""As every client: a socket that has not even a heartbeat for so long is dead."""

_UNREAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - heard of, never listened on
"""Where a server that listens everywhere is reached from its own machine."""


Send = Callable[[str, int, bytes], Awaitable[None]]
"""Puts a beat at the beginning of the way: session, shard, value. Raises SendFailed."""


def through_the_log(producer: LogProducer) -> Send:
    """Begin with the producer: the gateway may write into the session log."""

    async def send(session_id: str, shard: int, value: bytes) -> None:
        await producer.send(SESSION_LOG, shard, session_id.encode(), value)

    return send


class _Frame(msgspec.Struct):
    """As much of a frame as is looked at."""

    state: str | None = None
    attempt: str | None = None


class Canary:
    """Beats within `beating`. `every_s` 0: never, and then it is always ready."""

    def __init__(self, shards: int, every_s: float) -> None:
        # Each process draws a session of its own, so that no person and no other gateway is in it.
        self.session_id = f"{CANARY_SESSION}{ULID()}"
        self.password = secrets.token_urlsafe(32)
        """Lets it in where others need a token: known to this process alone."""
        self.shard = shard_of(self.session_id, shards)
        self._every_s = every_s
        self._limit_s = every_s * BEATS_A_LIMIT
        self._watch = CanaryWatch(self._limit_s)
        self._connected = asyncio.Event()

    def not_ready(self) -> str | None:
        """Say for how long the canary has not come back, if that is too long, or None."""
        return self._watch.not_ready(time.monotonic())

    def round_trip_s(self) -> float:
        """How long the last one that came back was on its way; 0: none has."""
        return self._watch.round_trip_s

    @contextlib.asynccontextmanager
    async def beating(
        self, host: str, port: int, send: Send, *, is_dead: Callable[[int], bool]
    ) -> AsyncIterator[None]:
        """Await beats from the server at this address until the block ends, without waiting.

        While its shard `is_dead` none can come, and none is missed.
        """
        if not self._every_s:
            yield
            return
        async with asyncio.TaskGroup() as tasks:
            own = [
                tasks.create_task(self._listen(address_of(host, port, self.session_id))),
                tasks.create_task(self._beat(send)),
                tasks.create_task(self._excuse(is_dead)),
            ]
            yield
            await _ended(own)

    async def _beat(self, send: Send) -> None:
        was_red = False
        while True:
            await self._send(send)
            await asyncio.sleep(self._every_s)
            reason = self.not_ready()
            if reason and not was_red:
                log.warning("not ready", reason=reason)
            elif was_red and not reason:
                log.info("the canary has come back")
            was_red = reason is not None

    async def _excuse(self, is_dead: Callable[[int], bool]) -> None:
        while True:
            if is_dead(self.shard):
                self._watch.excuse()
            await asyncio.sleep(min(EXCUSED_EVERY_S, self._every_s))

    async def _send(self, send: Send) -> None:
        self._watch.due(time.monotonic())
        try:
            async with asyncio.timeout(self._limit_s):
                # A beat that is published before the socket has joined would not be given to it.
                await self._connected.wait()
                attempt = str(ULID())
                self._watch.sent(attempt, time.monotonic())
                await send(self.session_id, self.shard, encode(self._event(attempt)))
        except (TimeoutError, SendFailed) as error:
            log.warning("the canary was not sent", error=f"{type(error).__name__}: {error}")

    def _event(self, attempt: str) -> Status:
        # All beats share one message_id: readers that remember an unknown id then remember one.
        return Status(
            session_id=self.session_id,
            message_id="canary",
            created_at=utc_now(),
            state="alive",
            attempt=attempt,
        )

    async def _listen(self, address: str) -> None:
        wait_s = RECONNECT_FIRST_S
        while True:
            try:
                await self._receive(address)
            except (OSError, TimeoutError, WebSocketException, msgspec.DecodeError) as error:
                log.info("the canary's socket ended", error=f"{type(error).__name__}: {error}")
            if self._connected.is_set():
                wait_s = RECONNECT_FIRST_S
            self._connected.clear()
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RECONNECT_MOST_S)

    async def _receive(self, address: str) -> None:
        socket = await connect(
            address,
            additional_headers={"Authorization": f"Bearer {self.password}"},
            compression=None,
            open_timeout=CONNECT_TIMEOUT_S,
            ping_interval=None,
            proxy=None,  # the way to itself leads over no other machine
        )
        try:
            while True:
                await self._take(socket)
        finally:
            # The socket is not closed in order: that would wait for the gateway's answer, and the
            # gateway may be one that delivers nothing.
            socket.transport.abort()

    async def _take(self, socket: ClientConnection) -> None:
        async with asyncio.timeout(SILENCE_LIMIT_S):
            text = await socket.recv()
        frame = msgspec.json.decode(text, type=_Frame)
        if frame.state == "connected":
            self._connected.set()
        elif frame.attempt is not None:
            self._watch.came(frame.attempt, time.monotonic())


async def _ended(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel the tasks until they have ended.

    Python 3.11's wait_for gives a result that comes together with a cancellation, and the
    cancellation is lost: it is said again.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


def address_of(host: str, port: int, session_id: str) -> str:
    """Give the WebSocket address of a session at a server that listens on `host`."""
    host = _UNREAL.get(host, host)
    return f"ws://{f'[{host}]' if ':' in host else host}:{port}/ws/chat/{session_id}/"
