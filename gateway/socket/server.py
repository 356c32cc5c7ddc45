"""Listens: WebSockets, the page and health on one port; drains when the process is to end.

A wrong path, session or origin is told by a close code after the handshake, because browsers can't
read the status of a handshake that was refused.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from gateway.page.page_files import PageFiles, text
from gateway.settings import GatewaySettings
from gateway.socket.address import Address, BadAddress, only, origin_allowed, parse
from gateway.socket.connection import Connection, Shared
from gateway.socket.websocket import CLOSE_TIMEOUT_S, WRITE_HIGH_WATER_BYTES, WebSocket
from schemas.close_codes import CloseCode
from schemas.frames import Reconnect
from schemas.limits import FRAME_MAX_BYTES
from schemas.topics import shard_of

log = structlog.get_logger(__name__)

HANDSHAKE_LIMIT_S = 10.0
QUEUE_MAX_FRAMES = 4
SWEEP_EVERY_S = 1.0
DRAIN_SLICE = 100
DRAIN_SLICE_EVERY_S = 0.05
RECONNECT_SPREAD_MS = 2_000
TOO_MANY_RETRY_MS = 5_000
REFUSED_MAX, REFUSED_MAX_CHARS = 100, 200
"""So many origins that were refused are logged, each once."""


class Refusal(Exception):
    """This socket is not served; it is closed with the code."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ChatServer:
    """The gateway's public port."""

    def __init__(
        self,
        settings: GatewaySettings,
        shared: Shared,
        not_ready: Callable[[], str | None],
        failing: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._not_ready = not_ready
        self._failing = failing
        self._origins = settings.allowed_origins()
        self._refused_origins: set[str] = set()
        self._page = PageFiles()
        self._server: Server | None = None
        self.draining = False

    async def start(self) -> tuple[str, int]:
        """Listen and give address and port. Raises OSError if it is taken."""
        self._server = await serve(
            self._serve,
            self._settings.host,
            self._settings.port,
            compression=None,
            process_request=self._answer,
            server_header=None,
            open_timeout=HANDSHAKE_LIMIT_S,
            ping_interval=None,  # heartbeats are the protocol's; dead peers are the kernel's
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=FRAME_MAX_BYTES,
            max_queue=QUEUE_MAX_FRAMES,
            write_limit=WRITE_HIGH_WATER_BYTES,
            create_connection=WebSocket,
        )
        host, port = next(iter(self._server.sockets)).getsockname()[:2]
        return host, port

    async def sweep(self) -> None:
        """Let time pass for every connection, until cancelled: one timer for all of them."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            now_s = time.monotonic()
            for connection in self._connections():
                connection.tick(now_s)

    async def drain(self, grace_s: float) -> None:
        """Take nobody new, send everybody to another gateway, finish what is being published."""
        assert self._server is not None  # noqa: S101 - drain comes after start
        self.draining = True
        self._server.close(close_connections=False)
        deadline_s = time.monotonic() + grace_s
        connections = self._connections()
        log.info("draining", connections=self._shared.followers.people)
        slices = max(1, int(grace_s / 2 / DRAIN_SLICE_EVERY_S))
        size = max(DRAIN_SLICE, -(-len(connections) // slices))
        for start in range(0, len(connections), size):
            _send_away(connections[start : start + size])
            await asyncio.sleep(DRAIN_SLICE_EVERY_S)
        try:
            left_s = max(deadline_s - time.monotonic(), 0.1)
            await asyncio.wait_for(self._server.wait_closed(), left_s)
        except TimeoutError:
            log.warning("connections left after the drain", after_s=grace_s)

    def failing(self) -> Sequence[str]:
        """Say what fails though clients may be sent here: it fails elsewhere too."""
        return self._failing()

    def not_ready(self) -> str | None:
        """Say why a client should not be sent here now, or None."""
        return "draining" if self.draining else self._not_ready()

    def _connections(self) -> Sequence[Connection]:
        return [one for one in self._shared.followers if isinstance(one, Connection)]

    def _answer(self, _: ServerConnection, request: Request) -> Response | None:
        """Answer plain GETs; None goes on with the WebSocket handshake."""
        if "websocket" in ",".join(request.headers.get_all("Upgrade")).lower():
            return None
        path = request.path.partition("?")[0]
        if path == "/healthz":
            return text(200, "ok\n")
        if path == "/readyz":
            reason = self.not_ready()
            told = reason or "; ".join(["ready", *self._failing()])
            return text(503 if reason else 200, f"{told}\n")
        return self._page.answer(path, request.headers) or text(404, "not found\n")

    async def _serve(self, socket: ServerConnection) -> None:
        assert isinstance(socket, WebSocket)  # noqa: S101 - create_connection makes them
        socket.detect_dead_peer()
        self._shared.counters.connections_opened += 1
        try:
            address = self._admit(socket)
        except Refusal as refusal:
            self._shared.counters.count_closed(refusal.code)
            await socket.end(refusal.code, refusal.reason)
            return
        shard = shard_of(address.session_id, self._settings.shards)
        await Connection(socket, address, shard, self._shared).run(address.cursor)

    def _tell_refused(self, origin: str) -> None:
        """Log an origin the first time: its page shows nothing, and here is who can allow it."""
        origin = origin[:REFUSED_MAX_CHARS]
        if origin not in self._refused_origins and len(self._refused_origins) < REFUSED_MAX:
            self._refused_origins.add(origin)
            log.warning("origin refused: allow it by TALKLOG_ORIGINS", origin=origin)

    def _admit(self, socket: WebSocket) -> Address:
        assert socket.request is not None  # noqa: S101 - the handshake is over
        headers = socket.request.headers
        # `get_all`, as headers may come more than once: `get` raises then.
        origin, host = only(headers.get_all("Origin")), only(headers.get_all("Host"))
        if not origin_allowed(origin, host, self._origins):
            self._tell_refused(origin or "two origins")
            raise Refusal(CloseCode.FORBIDDEN, "this origin may not connect: see TALKLOG_ORIGINS")
        try:
            address = parse(socket.request.path)
        except BadAddress as error:
            raise Refusal(CloseCode.BAD_SESSION, str(error)) from None
        limit = self._settings.connections_per_session
        if self._shared.followers.of(address.session_id) >= limit:
            reason = {"retry_after_ms": TOO_MANY_RETRY_MS, "limit": limit}
            raise Refusal(CloseCode.TOO_MANY, json.dumps(reason))
        socket.forget_handshake()
        return address


def _send_away(connections: Sequence[Connection]) -> None:
    for connection in connections:
        after_ms = random.randrange(RECONNECT_SPREAD_MS)  # noqa: S311 - only to spread them
        frame = Reconnect(session_id=connection.session_id, after_ms=after_ms)
        connection.say_and_close_soon(frame, CloseCode.SERVICE_RESTART, "service restart")
