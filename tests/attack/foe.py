"""One who means harm, with what all of them need: sockets, bare connections, and a tally.

What he was told is counted in words that are the same for every kind: `close 4009 LIMIT`,
`HTTP 429 LIMIT`, `error CODE LIMIT`, `cut` (ended without a word), `held back` (his writes stand).
"""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any, ClassVar
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from tests.people import Person

OPEN_WITHIN_S = 15.0
HELD_BACK_S = 1.0
READ_BYTES = 65_536
SEND_BUFFER_BYTES = 32 * 1024
_LIMIT = re.compile(r"\((\w+)\)")


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked: public addresses, and which log is behind them."""

    urls: Sequence[str]
    epoch: int
    shards: int


class Foe:
    """`person` is who he says he is, `told` what all of his kind have been told."""

    def __init__(
        self, target: Target, person: Person, chance: random.Random, told: Counter[str]
    ) -> None:
        self.target, self.person, self.chance, self.told = target, person, chance, told

    def session(self, number: int) -> str:
        """Give a session of his own."""
        return f"{self.person.name}-{number}"

    def tell(self, what: str) -> None:
        """Count what he was told."""
        self.told[what] += 1

    def place(self) -> tuple[str, int]:
        """Give host and port of some gateway."""
        parts = urlsplit(self.chance.choice(self.target.urls))
        return parts.hostname or "", parts.port or 0

    # -- WebSockets

    @asynccontextmanager
    async def socket(
        self,
        session: str,
        query: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> AsyncIterator[ClientConnection]:
        """Connect to some gateway, with a good token if `headers` say nothing else."""
        base = self.chance.choice(self.target.urls).replace("http", "ws", 1)
        socket = await connect(
            f"{base}/ws/chat/{session}/{query}",
            compression=None,
            max_size=None,
            ping_interval=None,
            proxy=None,
            open_timeout=OPEN_WITHIN_S,
            additional_headers=self.person.headers() if headers is None else headers,
            **options,
        )
        try:
            yield socket
        finally:
            with suppress(AttributeError):  # what asyncio raises of one that is lost already
                socket.transport.abort()  # who means harm says no goodbye

    async def hear(self, socket: ClientConnection) -> None:
        """Count all that is said, until the end of it. Raises ConnectionClosed."""
        while True:
            self.tell(spoken(json.loads(await socket.recv())))

    async def flood(self, socket: ClientConnection, frames: Sequence[bytes]) -> None:
        """Say them as fast as they go out; being held back for a while is counted."""
        for each in frames:
            if socket.state is not State.OPEN:
                await socket.wait_closed()
                return
            socket.transport.write(each)
            try:
                async with asyncio.timeout(HELD_BACK_S):
                    await socket.drain()
            except TimeoutError:
                self.tell("held back")
            await asyncio.sleep(0)  # others too

    # -- bare connections

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Connect to some gateway's port, and say nothing yet."""
        reader, writer = await asyncio.open_connection(*self.place())
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def answered(self, reader: asyncio.StreamReader) -> None:
        """Read until the gateway has ended it, and count what its answer was."""
        said = b""
        with suppress(ConnectionError):
            while part := await reader.read(READ_BYTES):
                said = (said + part)[:READ_BYTES]
        self.tell(f"HTTP {said[9:12].decode(errors='replace')}" if said else "cut")


class Attack:
    """A kind of harm. `once` does it one time, and is done again and again.

    `ends` are the words of which one must have been heard: how it is refused, or ended.
    """

    name: ClassVar[str]
    tried: ClassVar[str]
    ends: ClassVar[frozenset[str]]
    at_once: ClassVar[int] = 1
    """So many of these one foe keeps going."""
    pause_s: ClassVar[float] = 0.1
    """About so long it is waited between one and the next."""

    async def once(self, foe: Foe, number: int) -> None:
        """Do it; `number` tells those apart that one foe does at once."""
        raise NotImplementedError


def limit_send_buffer(socket: ClientConnection) -> None:
    """Have little of what is said wait in this machine's kernel: who is not read notices soon."""
    bare = socket.transport.get_extra_info("socket")
    bare.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES)


def masked(text: bytes, kind: Opcode = Opcode.TEXT) -> bytes:
    """Give a client's frame as it goes over the wire."""
    return Frame(kind, text).serialize(mask=True)


def said(**fields: Any) -> bytes:
    """Give a frame of the protocol as it goes over the wire."""
    return masked(json.dumps(fields).encode())


def spoken(frame: Mapping[str, Any]) -> str:
    """Name a frame from a gateway."""
    if frame["type"] == "error" and "cursor" not in frame:
        return " ".join(("error", frame["code"], frame.get("limit") or "")).strip()
    duplicate = " duplicate" if frame.get("duplicate") else ""
    return f"{frame.get('state', frame['type'])}{duplicate}"


def closed(error: ConnectionClosed) -> str:
    """Name how a socket was closed."""
    if error.rcvd is None:
        return "cut"
    with suppress(ValueError, AttributeError):
        return f"close {error.rcvd.code} {json.loads(error.rcvd.reason)['limit']}"
    return f"close {error.rcvd.code}"


def refused(error: InvalidStatus) -> str:
    """Name how a handshake was refused."""
    limit = _LIMIT.search((error.response.body or b"").decode(errors="replace"))
    return f"HTTP {error.response.status_code}{' ' + limit[1] if limit else ''}"
