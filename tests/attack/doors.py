"""Harm before anybody is let in: no handshake, an odd one, or one without a right."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

from websockets.asyncio.client import ClientConnection

from tests.attack.foe import Attack, Foe
from tests.people import token
from tests.unit.gateway.identity.minted import part, with_secret

LETTER_EVERY_S = 0.3
STAYS_S = 5.0
ODD_ORIGINS = ("https://evil.example", "null", "http://127.0.0.1.evil.example", "x" * 2000)
UPGRADE = (
    "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
)


class Slowloris(Attack):
    """A handshake that never ends."""

    name = "slowloris"
    tried = f"a handshake without an end, a letter every {LETTER_EVERY_S:g} s"
    ends = frozenset({"cut"})
    at_once = 10

    async def once(self, foe: Foe, number: int) -> None:
        async with foe.raw() as (reader, writer), asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(self._write(writer))
            await foe.answered(reader)
            writing.cancel()

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        for letter in _letters("GET /ws/chat/slow/ HTTP/1.1\r\n"):
            writer.write(letter)
            await asyncio.sleep(LETTER_EVERY_S)


def _letters(beginning: str) -> Iterator[bytes]:
    yield from (each.encode() for each in beginning)
    for number in count():
        yield from (each.encode() for each in f"X-{number}: y\r\n")


class Silent(Attack):
    """A connection on which nothing is said."""

    name = "silent connections"
    tried = "connect, say nothing"
    ends = frozenset({"cut"})
    at_once = 20

    async def once(self, foe: Foe, number: int) -> None:
        async with foe.raw() as (reader, _):
            await foe.answered(reader)


class Nameless(Attack):
    """A WebSocket that does not say who it is."""

    name = "no token"
    tried = "a WebSocket that brings no token, or says something else first"
    ends = frozenset({"close 4001"})
    at_once = 4

    async def once(self, foe: Foe, number: int) -> None:
        async with foe.socket("nobody", headers=foe.person.come_from()) as socket:
            if foe.chance.random() < 0.5:
                await socket.send('{"type":"user_message","content":"Hello"}')
            await foe.hear(socket)


class Forged(Attack):
    """Tokens that are not good, or not for this."""

    name = "forged tokens"
    tried = "unsigned, another secret, over, no token at all, good for another session"
    ends = frozenset({"close 4001", "close 4003"})
    at_once = 2
    pause_s = 0.05

    async def once(self, foe: Foe, number: int) -> None:
        claims = {"sub": "root", "sessions": ["*"], "exp": time.time() + 60}
        forged = (
            f"{part({'alg': 'none'})}.{part(claims)}.",
            with_secret(b"another secret", "HS256", claims),
            token("root", ["*"], exp=1),
            "x" * foe.chance.randrange(6000),
            foe.person.token(),
        )
        headers = foe.person.headers(foe.chance.choice(forged))
        async with foe.socket("somebodys-session", headers=headers) as socket:
            await foe.hear(socket)


class UnknownKeys(Attack):
    """Tokens that name keys which nobody has."""

    name = "unknown keys"
    tried = "tokens with a `kid` that is drawn anew each time"
    ends = frozenset({"close 4001"})
    at_once = 4
    pause_s = 0.05

    async def once(self, foe: Foe, number: int) -> None:
        head = {"alg": "ES256", "kid": f"k{foe.chance.randrange(10**12)}"}
        claims = {"sub": "root", "sessions": ["*"], "exp": time.time() + 60}
        made_up = f"{part(head)}.{part(claims)}.{part(foe.chance.randbytes(64))}"
        async with foe.socket("somebody", headers=foe.person.headers(made_up)) as socket:
            await foe.hear(socket)


class Foreign(Attack):
    """Pages of other sites."""

    name = "wrong origins"
    tried = "a good token, from pages of other sites"
    ends = frozenset({"close 4003"})
    at_once = 2

    async def once(self, foe: Foe, number: int) -> None:
        origin = {"Origin": foe.chance.choice(ODD_ORIGINS)}
        headers = foe.person.headers() | origin
        async with foe.socket(foe.session(number), headers=headers) as socket:
            await foe.hear(socket)


class OddAddresses(Attack):
    """Paths and queries that no client asks for."""

    name = "odd addresses"
    tried = "sessions that are none, queries of 1,000 fields, numbers without an end, NUL"
    ends = frozenset({"close 4004"})
    at_once = 2

    async def once(self, foe: Foe, number: int) -> None:
        own = foe.session(number)
        session, query = foe.chance.choice(
            (
                ("..%2f..%2fetc%2fpasswd", ""),
                ("a" * 300, ""),
                ("%00%ff%e2%28", ""),
                (own, "?" + "&".join(f"a{n}=b" for n in range(1_000))),
                (own, f"?history={'9' * 5_000}"),
                (own, f"?cursor={'1.' * 3_000}"),
                (own, "?cursor=%00&cursor=%ff&history=-1&token=%00&token="),
            )
        )
        async with foe.socket(session, query) as socket:
            await self._leave_when_in(foe, socket)

    async def _leave_when_in(self, foe: Foe, socket: ClientConnection) -> None:
        """What is only odd is answered as if it were not there."""
        foe.tell("let in")
        with suppress(TimeoutError):
            async with asyncio.timeout(STAYS_S):
                await foe.hear(socket)


class OddHttp(Attack):
    """Requests that no browser makes."""

    name = "odd requests"
    tried = "huge headers, many headers, no HTTP at all, headers twice, NUL in them"
    ends = frozenset({"HTTP 400", "HTTP 414", "HTTP 431"})
    at_once = 2

    async def once(self, foe: Foe, number: int) -> None:
        begin, end = "GET /ws/chat/odd/ HTTP/1.1\r\n" + UPGRADE, "\r\n"
        request = foe.chance.choice(
            (
                f"{begin}X-Huge: {'x' * 20_000}\r\n{end}",
                f"{begin}X-Endless: {'x' * 1_000_000}",
                begin + "".join(f"X-{n}: y\r\n" for n in range(300)) + end,
                f"GET /{'a' * 20_000} HTTP/1.1\r\n{UPGRADE}{end}",
                f"{begin}X-Nul: a\0b\r\n{end}",
                f"{begin}Host: elsewhere\r\nOrigin: a\r\nOrigin: b\r\n{end}",
                "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\0" * 200,
                "GET / HTTP/9.9\r\n\r\n",
                "\r\n" * 1000,
            )
        )
        async with foe.raw() as (reader, writer):
            writer.write(request.encode("latin-1"))
            await foe.answered(reader)


class Methods(Attack):
    """What is not to be asked."""

    name = "POST, TRACE"
    tried = "methods that change something or give back what was said, with a body"
    ends = frozenset({"HTTP 405"})
    at_once = 2
    pause_s = 0.05

    async def once(self, foe: Foe, number: int) -> None:
        method = foe.chance.choice(("POST", "TRACE", "PUT", "DELETE", "OPTIONS"))
        path = foe.chance.choice(("/", "/readyz", "/ws/chat/odd/", "/where/odd"))
        body = "x" * foe.chance.choice((0, 10, 100_000))
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        async with foe.raw() as (reader, writer):
            writer.write((head + body).encode())
            await foe.answered(reader)


DOORS = (
    Slowloris,
    Silent,
    Nameless,
    Forged,
    UnknownKeys,
    Foreign,
    OddAddresses,
    OddHttp,
    Methods,
)
