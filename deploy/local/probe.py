"""Ask a server whether it is there, with nothing but a socket and a time-out."""

from __future__ import annotations

import asyncio
import ssl

PROBE_S = 2.0


async def listens(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1:port."""
    async with asyncio.timeout(PROBE_S):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return True


async def http_ok(port: int, path: str) -> bool:
    """Whether GET path on 127.0.0.1:port answers 200."""
    return b" 200 " in await _ask(port, f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())


async def redis_pong(port: int, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a Redis answers PING there (it does not while it is loading).

    One with users asks who it is: it is there, too.
    """
    return (await _ask(port, b"PING\r\n", tls)).startswith((b"+PONG", b"-NOAUTH"))


async def _ask(port: int, question: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """The first line of the answer."""
    async with asyncio.timeout(PROBE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        try:
            writer.write(question)
            return await reader.readline()
        finally:
            writer.close()
