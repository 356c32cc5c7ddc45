"""Listens: WebSockets, the page and health on one port; drains when the process is to end.

A wrong path, session, origin or token is told by a close code after the handshake, because browsers
can't read the status of a handshake that was refused.
"""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from gateway.feed.slices import in_slices
from gateway.identity.claims import CantTell
from gateway.limits.rules import counted_address
from gateway.page.page_files import ONLY_TLS, PageFiles, response, text
from gateway.settings import GatewaySettings
from gateway.socket.address import session_id_in
from gateway.socket.admission import Admission, OwnPass, Refusal
from gateway.socket.connection import Connection
from gateway.socket.door import Door
from gateway.socket.protocol import refused
from gateway.socket.shared import Shared
from gateway.socket.strangers import Strangers
from gateway.socket.websocket import (
    CLOSE_TIMEOUT_S,
    WRITE_HIGH_WATER_BYTES,
    InTurns,
    WebSocket,
    wire,
)
from schemas.close_codes import CloseCode
from schemas.frames import Reconnect, encode
from schemas.limits import FRAME_MAX_BYTES
from schemas.topics import shard_of

log = structlog.get_logger(__name__)

HANDSHAKE_LIMIT_S = 10.0
QUEUE_MAX_FRAMES = 4
SWEEP_EVERY_S = 1.0
SWEEP_PART = 200
"""Connections that are swept one after the other; then others have their time. Ten thousand in a
row are 60 ms, slices or not: what is read meanwhile needs several turns to reach a reader."""
BACKLOG = 4096
"""Connections that wait to be accepted: the door has the say in a storm, not a network's dropped
packets, which each client sends again after 1, 3, 7, 15 … seconds. One is accepted a turn."""
DRAIN_SLICE = 100
DRAIN_SLICE_EVERY_S = 0.05
RECONNECT_SPREAD_MS = 2_000
READ = ("GET", "HEAD")
_WHERE = re.compile(r"/where/([^/]+)/?")
PROBES = ("/healthz", "/readyz")
FORBIDDEN_TEXT = (
    "TALKLOG_AUTH=none serves this machine only, and a proxy has passed this on.\n"
    "See docs/security.md for TALKLOG_AUTH=jwt.\n"
)


class ChatServer:
    """The gateway's public port."""

    def __init__(
        self,
        settings: GatewaySettings,
        shared: Shared,
        not_ready: Callable[[], str | None],
        failing: Callable[[], Sequence[str]] = lambda: (),
        own: OwnPass | None = None,
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._not_ready = not_ready
        self._failing = failing
        self._admission = Admission(settings, shared.limiter, shared.tokens, own, shared.hook)
        self.strangers = Strangers(settings.unidentified_connections, shared.counters)
        self._door = Door(settings, shared.limiter)
        self._page = PageFiles(shards=settings.shards)
        self._server: Server | None = None
        self.draining = False
        """Not ready any more, whether or not the drain has begun."""

    async def start(self) -> tuple[str, int]:
        """Listen and give address and port. Raises OSError if it is taken."""

        class OwnSocket(WebSocket):
            strangers = self.strangers
            passing = InTurns()

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
            create_connection=OwnSocket,
            backlog=BACKLOG,
        )
        host, port = next(iter(self._server.sockets)).getsockname()[:2]
        return host, port

    async def sweep(self) -> None:
        """Let time pass for every connection, until cancelled: one timer for all of them."""
        while True:
            connections = self._connections()
            parts = max(1, -(-len(connections) // SWEEP_PART))
            for part in range(parts):
                await asyncio.sleep(SWEEP_EVERY_S / parts)
                start = part * SWEEP_PART
                async for connection in in_slices(connections[start : start + SWEEP_PART]):
                    connection.tick(time.monotonic())

    async def drain(self, grace_s: float) -> None:
        """Take nobody new, send everybody to another gateway, finish what is being published."""
        assert self._server is not None  # noqa: S101 - drain comes after start
        self.draining = True
        self._server.close(close_connections=False)
        deadline_s = time.monotonic() + grace_s
        for stranger in self.strangers:
            if isinstance(stranger, WebSocket) and stranger.open:
                self._shared.spawn(stranger.end(CloseCode.SERVICE_RESTART, "service restart"))
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

    def _answer(
        self, socket: ServerConnection, request: Request
    ) -> Response | Awaitable[Response | None] | None:
        """Answer plain GETs; None, also when it was waited for, goes on with the handshake."""
        if isinstance(socket, WebSocket):
            self.strangers.discard(socket)  # it has said what it wants, and who it is comes next
        peer = (socket.remote_address or ("",))[0]
        if "websocket" not in ",".join(request.headers.get_all("Upgrade")).lower():
            answer = self._plain(request)
            by_tls = self._admission.came_by_tls(request.headers, peer)
            return _for(request, answer, by_tls) if answer else self._page_file(request, by_tls)
        if self._admission.is_own(request.headers):
            return None
        address = counted_address(self._admission.client_of(request.headers, peer))
        return self._door.knock(address, self._shared.followers.people)

    async def _page_file(self, request: Request, by_tls: bool) -> Response:
        """Give a file of the page. In a thread: it may have to be packed first."""
        path = request.path.partition("?")[0]
        found = await asyncio.to_thread(self._page.answer, path, request.headers)
        return _for(request, found or text(404, "not found\n"), by_tls)

    def _plain(self, request: Request) -> Response | None:
        """Answer at once, or None: a file of the page is asked for."""
        if request.method not in READ:
            return text(405, f"{' and '.join(READ)} only\n", {"Allow": ", ".join(READ)})
        path = request.path.partition("?")[0]
        if path not in PROBES and self._admission.passed_on(request.headers):
            return text(403, FORBIDDEN_TEXT)
        if path == "/healthz":
            return text(200, "ok\n")
        if path == "/readyz":
            reason = self.not_ready()
            told = reason or "; ".join(["ready", *self._failing()])
            return text(503 if reason else 200, f"{told}\n")
        where = _WHERE.fullmatch(path)
        if where is not None:
            return self._where(where[1])
        return None if self._page.has(path) else text(404, "not found\n")

    def _where(self, name: str) -> Response:
        """Tell which shard is a session's. It says nothing of whether there is one."""
        session_id = session_id_in(name)
        if session_id is None:
            return text(404, "not a session id\n")
        shards = self._settings.shards
        told = {"session_id": session_id, "shard": shard_of(session_id, shards), "shards": shards}
        return response(200, msgspec.json.encode(told), "application/json")

    async def _serve(self, socket: ServerConnection) -> None:
        assert isinstance(socket, WebSocket)  # noqa: S101 - create_connection makes them
        socket.detect_dead_peer()
        self._shared.counters.connections_opened += 1
        self.strangers.add(socket)
        try:
            admitted = await self._admission.admit(socket)
        except Refusal as refusal:
            await self._turn_away(socket, refusal.code, refusal.reason)
            return
        except CantTell as error:
            log.debug("who comes can't be told", error=str(error))
            told = refused("", "unavailable", "who you are can't be told now: come again")
            self._shared.counters.count_refused(told.code)
            socket.push(wire(encode(told)))
            await self._turn_away(socket, CloseCode.SERVICE_RESTART, told.message)
            return
        except ConnectionClosed:
            return
        finally:
            self.strangers.discard(socket)
        address, who = admitted.address, admitted.who
        shard = shard_of(address.session_id, self._settings.shards)
        connection = Connection(socket, address, shard, self._shared, admitted.rights, who)
        try:
            await connection.run(address.cursor)
        finally:
            self._shared.limiter.leave(who)

    async def _turn_away(self, socket: WebSocket, code: CloseCode, reason: str) -> None:
        self._shared.counters.count_closed(code)
        await socket.end(code, reason)


def _for(request: Request, answer: Response, by_tls: bool) -> Response:
    """Fit an answer to who asked."""
    answer.body = b"" if request.method == "HEAD" else answer.body
    if by_tls:
        answer.headers.update(ONLY_TLS)
    return answer


def _send_away(connections: Sequence[Connection]) -> None:
    for connection in connections:
        after_ms = random.randrange(RECONNECT_SPREAD_MS)  # noqa: S311 - only to spread them
        frame = Reconnect(session_id=connection.session_id, after_ms=after_ms)
        connection.say_and_close_soon(frame, CloseCode.SERVICE_RESTART, "service restart")
