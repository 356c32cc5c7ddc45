"""A bare connection to a gateway's port, for what no client would say."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.waiting import WITHIN_S


@contextlib.asynccontextmanager
async def raw(
    port: int, first: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect, and say something."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(first)
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def until_gone(reader: asyncio.StreamReader) -> bytes:
    """Wait until the gateway has closed it; give what it has said."""
    said = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(WITHIN_S):
            while part := await reader.read(65_536):
                said += part
    return said
