"""A WebSocket that can be written to without waiting, and says when it is writable again.

The library's `send` waits for the socket, one task a frame. Here a frame is encoded once for all
sockets of its session (`wire`), and put straight into the transport's buffer while that is below
its high-water mark; so idle connections cost no task, and readers of Kafka never wait for a socket.

The library also takes in all that a read has brought before anything else may run: a few hundred
KiB of the smallest frames are seconds. Here it is given a slice a turn of the loop, and no slice
while frames wait to be performed.

Of those who come and of those who go some have their turn, for a slice of time: five hundred
handshakes in one poll are 0.3 s, and so are a thousand ends. Whoever is there has his turn between
them. Not one a turn while there is time: who comes together shares what is read of the log for him.
"""

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from gateway.feed.slices import SLICE_S
from gateway.socket.strangers import Strangers

READ_SLICE_BYTES = 2 * 1024
"""So much is taken apart in one turn of the loop: at most 340 masked frames."""

WRITE_HIGH_WATER_BYTES = 32 * 1024
CLOSE_TIMEOUT_S = 5.0
UNANSWERED_LIMIT_MS = 60_000
"""A peer that acknowledges nothing for so long is gone; the kernel closes the connection."""


_NO_REQUEST = Request("", Headers())
"""The library takes "no request" for a handshake that has not come yet."""


class InTurns:
    """Calls what it is given in its order, a slice of time a turn; bounded by who gives it.

    The slice is of all that the loop has done since the last one: what a call leaves to be done by
    tasks counts too. One is called in any case.
    """

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self._is_due = False
        self._since_s = 0.0
        """When the last slice was over, or what came first was put."""

    def put(self, call: Callable[[], None]) -> None:
        """Call it in a later turn."""
        self._calls.append(call)
        if not self._is_due:
            self._go_on()

    def _go_on(self) -> None:
        self._is_due = bool(self._calls)
        self._since_s = time.monotonic()
        if self._is_due:
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        until_s = self._since_s + SLICE_S
        try:
            self._calls.popleft()()
            while self._calls and time.monotonic() < until_s:
                self._calls.popleft()()
        finally:  # whatever one raises, the others have their turn
            self._go_on()


def wire(payload: bytes) -> bytes:
    """Encode a text frame as a server sends it (unmasked, no extensions): the same for all."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def _do_nothing() -> None:
    """Nothing more comes: there is nothing to hold back."""


def _forget_frames(error: BaseException | None) -> None:
    """Drop where an error came from, and those behind it: a frame holds the parser it stood in."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class WebSocket(ServerConnection):
    """One WebSocket; `on_writable` is called when its write buffer has drained."""

    # With the library's 27, as attributes they would be more than the names that objects of a class
    # share (CPython's SHARED_KEYS_MAX_SIZE): each socket would have a dict of its own, 1.3 KiB.
    __slots__ = ("_slice_is_due", "_unread", "on_writable")

    strangers: Strangers
    """Of the server: it is one of them until it is known who it is."""
    passing: InTurns
    """Of the server: what is read of a handshake, and an end, wait there for their turn."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.on_writable: Callable[[], None] | None = None
        self._unread = b""
        """What has come and is not taken apart yet; meanwhile nothing more is read."""
        self._slice_is_due = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the transport when there is a client."""
        super().connection_made(transport)
        # The library's own is an empty deque of 700 bytes; what it does with it a list does too.
        self.drain_waiters = []  # type: ignore[assignment]
        self.strangers.add(self)
        self.recv_messages.resume = self._take_slices

    def data_received(self, data: bytes) -> None:
        """Called by the transport with what it has read."""
        self._unread += data
        if self.protocol.state is State.CONNECTING:
            self._take_slices()
        elif not self._slice_is_due:
            self._take_slice()

    def eof_received(self) -> bool:  # type: ignore[override]  # the library's closes by itself
        """Called by the transport when nothing more comes: who is gone is not heard any more."""
        self._unread = b""
        self.passing.put(self._go)
        return True

    def _go(self) -> None:
        if not self.transport.is_closing():
            super().eof_received()
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport when the connection has ended."""
        self._unread = b""
        self.strangers.discard(self)
        super().connection_lost(exc)
        self._let_go()

    def _let_go(self) -> None:
        """Open the circles in which the library's objects hold each other: so they go at once.

        Else a look for garbage has to find them, 50 objects a socket. A look that finds what a
        thousand refused sockets have left behind stops the loop for 0.15 s.
        """
        self.recv_messages.pause = self.recv_messages.resume = _do_nothing
        self.protocol.parser.close()
        for error in (self.protocol.parser_exc, self.protocol.handshake_exc):
            _forget_frames(error)

    def _take_slices(self) -> None:
        """Go on in a later turn; a handshake in the turn of those who come and go."""
        if not self._slice_is_due:
            self._slice_is_due = True
            connecting = self.protocol.state is State.CONNECTING
            take_turn = self.passing.put if connecting else self.loop.call_soon
            take_turn(self._take_next_slice)

    def _take_next_slice(self) -> None:
        self._slice_is_due = False
        if not self.recv_messages.paused:
            self._take_slice()

    def _take_slice(self) -> None:
        part, self._unread = self._unread[:READ_SLICE_BYTES], self._unread[READ_SLICE_BYTES:]
        if part:
            super().data_received(part)
        if self._unread:
            self.transport.pause_reading()
            if not self.recv_messages.paused:
                self._take_slices()
        elif not self.recv_messages.paused:
            self.transport.resume_reading()

    @property
    def open(self) -> bool:
        """Whether frames can still be sent."""
        return self.protocol.state is State.OPEN

    @property
    def left_in_order(self) -> bool:
        """Whether the client has said goodbye, and had said all it wanted before that."""
        return self.protocol.close_rcvd is not None

    @property
    def writable(self) -> bool:
        """Whether a frame may be pushed: it is open and its buffer is below the mark."""
        return not self.paused and self.protocol.state is State.OPEN

    def push(self, frame: bytes) -> None:
        """Put an encoded frame (`wire`) into the write buffer; nothing if the socket is closed."""
        if self.protocol.state is State.OPEN:
            self.transport.write(frame)

    async def until_writable(self) -> None:
        """Wait until the write buffer has drained; the connection may be closed then."""
        with contextlib.suppress(OSError):  # it was lost meanwhile, as the next read will tell
            await self.drain()

    async def end(self, code: int, reason: str) -> None:
        """Close the socket; one that does not even take the close frame in time is cut."""
        try:
            # The library's own limit begins only when the frame has left the write buffer.
            await asyncio.wait_for(self.close(code, reason), CLOSE_TIMEOUT_S)
        except TimeoutError:
            self.transport.abort()

    def cut_if_late(self) -> None:
        """Close it at once if its closing handshake has taken too long.

        The library holds only those to its limit that it is told to close: not one that it closes
        itself, for a frame that is too big, nor one that says goodbye and stays.
        """
        if self.close_deadline is not None and self.loop.time() > self.close_deadline:
            self.transport.abort()

    def cut(self) -> None:
        """Close it at once, without a word."""
        self.transport.abort()

    def forget_handshake(self) -> None:
        """Drop request and response: a third of an idle connection's memory, and nobody asks.

        The request is emptied too: the library's parser holds it for as long as the socket lives.
        """
        if self.request is not None:
            self.request.headers.clear()
            self.request.path = ""
        self.request, self.response = _NO_REQUEST, None

    def detect_dead_peer(self) -> None:
        """Have the kernel drop the connection when the peer answers nothing for a while."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_LIMIT_MS)

    def resume_writing(self) -> None:
        """Called by the transport when the buffer is below its low mark."""
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()
