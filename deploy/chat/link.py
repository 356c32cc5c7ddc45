"""One session over sockets that may break: frames into the view, requests out, until told to stop.

A message is sent again, with the same id, until the log has said something about it: the id makes
that one message. A cancel is asked again after a reconnect, until its message is over.

A gateway that is silent is asked, and left if it does not answer: `gateway/page/link.js` does the
same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from deploy.chat.reconnect import LOST, delay_s, held_s, refused, why
from deploy.chat.view import View
from schemas.close_codes import CloseCode
from schemas.limits import HEARTBEAT_S
from schemas.requests import Ask, Ping, Request, Stop, encode
from schemas.topics import shard_of

SEND_S = 10.0
CLOSE_S = 2.0
FRAME_MAX_BYTES = 16 * 1024 * 1024
UNKNOWN_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may take to open, and how long it may say nothing.

    After `quiet_s` without a frame the gateway is asked; `answer_s` later it is gone.
    """

    open_s: float
    quiet_s: float
    answer_s: float


PATIENT = Patience(open_s=10.0, quiet_s=HEARTBEAT_S + 1, answer_s=HEARTBEAT_S + 1)
EAGER = Patience(open_s=3.0, quiet_s=5.0, answer_s=2.0)
"""While an answer runs: something comes every 1.5 s then."""
EAGER_OPENS = 3
"""After so many failures in a row it is rather the network that is slow."""


class Stopped(Exception):
    """There will be no further connection; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the session is."""

    url: str
    session_id: str
    history: int
    token: str | None = field(default=None, repr=False)

    def with_cursor(self, cursor: str | None, shards: int = 0) -> str:
        """The address to connect to.

        `shards`: how many the gateways have, 0 while that is not known. With it the session's shard
        is named, so that a balancer can bring a shard's sockets together.
        """
        shard = str(shard_of(self.session_id, shards)) if shards else None
        asked = {"history": str(self.history), "cursor": cursor, "shard": shard}
        query = urlencode({name: value for name, value in asked.items() if value})
        base = self.url.rstrip("/").replace("http://", "ws://").replace("https://", "wss://")
        return f"{base}/ws/chat/{self.session_id}/" + (f"?{query}" if query else "")

    def headers(self) -> dict[str, str]:
        """What is said beside it: the token, which no proxy writes down here."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}


class Link:
    """Keeps a connection while `run` runs. `state` is what a person may read."""

    def __init__(self, address: Address, on_change: Callable[[], None]) -> None:
        self.view = View()
        self.state = "connecting"
        self._address = address
        self._on_change = on_change
        self._socket: ClientConnection | None = None
        self._submitted: set[str] = set()
        """Ids that went out on this socket."""
        self._joined = False
        """This socket has told where it stands."""
        self._cancels: set[str] = set()
        self._held_until_s = 0.0
        self._wanted = asyncio.Event()
        self._shards = 0

    async def run(self) -> None:
        """Stay connected until cancelled. Raises Stopped if that can't be."""
        failures = 0
        while True:
            code, reason, joined = await self._one_connection(failures)
            failures = 0 if joined else failures + 1
            if code == CloseCode.FRAME_TOO_BIG and self._fail_too_big():
                continue  # what it was closed for is not sent again
            wait_s = delay_s(code, reason, failures, random.random())  # noqa: S311 - jitter
            if wait_s is None:
                raise Stopped(why(code, reason))
            if code == CloseCode.IDLE:
                self._enter("idle")
                await self._wanted.wait()
                continue
            self._enter(f"{why(code, reason)}; connecting again in {wait_s:.1f} s")
            await asyncio.sleep(wait_s)

    async def ask(self, message_id: str, content: str) -> None:
        """Submit a message now, or as soon as there is a connection that knows where it stands."""
        await asyncio.sleep(self.held_s())
        self.view.submitted(message_id, content)
        self._wanted.set()
        if self.view.joined:
            await self._submit(message_id)

    def held_s(self) -> float:
        """For how long the gateway takes no message; 0: it takes one now."""
        return max(0.0, self._held_until_s - asyncio.get_running_loop().time())

    async def cancel(self, message_id: str) -> None:
        """Stop an answer."""
        self._cancels.add(message_id)
        await self._send(Stop(message_id=message_id))

    async def _one_connection(self, failures: int) -> tuple[int, str, bool]:
        """Connect, receive until the socket closes: its code and reason, and if it ever joined."""
        eager = failures < EAGER_OPENS and self.view.expects_news()
        self._enter("connecting")
        self._wanted.clear()
        self._submitted.clear()
        self._joined = False
        try:
            async with connect(
                self._address.with_cursor(self.view.resume_cursor(), self._shards),
                additional_headers=self._address.headers(),
                open_timeout=(EAGER if eager else PATIENT).open_s,
                close_timeout=CLOSE_S,
                ping_interval=None,
                compression=None,
                max_size=FRAME_MAX_BYTES,
            ) as socket:
                self._socket = socket
                while not self.view.broken:
                    await self._receive(await self._heard(socket))
            return LOST, "out of step", self._joined
        except ConnectionClosed as closed:
            frame = closed.rcvd
            return (frame.code, frame.reason, self._joined) if frame else (LOST, "", self._joined)
        except InvalidStatus as error:
            code, reason = refused(error.response.status_code, error.response.headers)
            return code, reason, self._joined
        except (OSError, TimeoutError, InvalidHandshake) as error:
            return LOST, f"({type(error).__name__})", self._joined
        except InvalidURI as error:
            raise Stopped(str(error)) from error
        finally:
            self._socket = None

    async def _heard(self, socket: ClientConnection) -> str | bytes:
        """Give the next frame.

        Raises TimeoutError if the gateway says nothing, not even when asked; the socket is left to
        its fate then.
        """
        waited_s = 0.0
        while (quiet_s := self._patience().quiet_s) > waited_s:
            step_s = min(EAGER.quiet_s, quiet_s - waited_s)
            with contextlib.suppress(TimeoutError):
                return await _frame(socket, step_s)
            waited_s += step_s
        try:
            async with asyncio.timeout(SEND_S):
                await socket.send(encode(Ping(nonce="watch")))
            return await _frame(socket, self._patience().answer_s)
        except TimeoutError:
            socket.transport.abort()
            raise

    def _patience(self) -> Patience:
        # Before the join a gateway may still look for where the socket stands.
        return EAGER if self._joined and self.view.expects_news() else PATIENT

    async def _receive(self, text: str | bytes) -> None:
        frame = json.loads(text)
        if hold_s := held_s(frame, random.random()):  # noqa: S311 - jitter
            self._held_until_s = asyncio.get_running_loop().time() + hold_s
        again = self.view.receive(frame)
        if frame.get("state") == "connected":
            self._shards = frame.get("shards", 0)
        whole = frame.get("type") == "snapshot" or frame.get("recovered") is True
        if whole:
            self._joined = True
            self._enter("connected")
            for message_id in self._cancels:
                if not self.view.over(message_id):
                    await self._send(Stop(message_id=message_id))
        if again and not whole:
            await asyncio.sleep(UNKNOWN_RETRY_S)
        for message_id in again:
            await self._submit(message_id)
        self._on_change()

    async def _submit(self, message_id: str) -> None:
        own = self.view.own.get(message_id)
        if own is not None:
            self._submitted.add(message_id)
            await self._send(Ask(message_id=message_id, content=own.content))

    def _fail_too_big(self) -> bool:
        """Fail the message that the socket was closed for; sent again, it would close all others.

        The largest of those that went out and were not accepted.
        """
        sent = [
            own
            for message_id in self._submitted
            if (own := self.view.own.get(message_id)) and own.submit in ("sending", "unknown")
        ]
        if not sent:
            return False
        largest = max(sent, key=lambda own: len(json.dumps(own.content)))
        self.view.receive(
            {
                "type": "error",
                "code": "content_too_long",
                "message": "the message is too big",
                "retryable": False,
                "message_id": largest.message_id,
            }
        )
        self._on_change()
        return True

    async def _send(self, request: Request) -> None:
        if self._socket is None:
            return  # it goes out after the next join
        try:
            async with asyncio.timeout(SEND_S):
                await self._socket.send(encode(request))
        except (ConnectionClosed, TimeoutError):
            return  # the same

    def _enter(self, state: str) -> None:
        self.state = state
        self._on_change()


async def _frame(socket: ClientConnection, limit_s: float) -> str | bytes:
    # Not `wait_for`: Python 3.11's forgets a cancel that comes together with a frame.
    async with asyncio.timeout(limit_s):
        return await socket.recv()
