"""A network between a client and two gateways: it can fall silent, break, and choose another way.

It carries bytes and knows nothing of what they mean. A browser's own "offline" leaves open sockets
alone, so what a network does to them is done here.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from deploy.local.proxy.pump import Passing, pump

CONNECT_LIMIT_S = 5.0


class Relay:
    """Listens while the block lasts: `async with Relay(urls) as relay`, then `relay.url`.

    Each connection goes to the first gateway, in turn, that takes it.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._targets = [urlsplit(url) for url in urls]
        self._hearing = Passing()  # of what gateways say to the client
        self._links: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        """Where the page is, as seen from behind this network."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        await self.cut()

    def silence(self) -> None:
        """Let nothing through to the client; nobody is told."""
        self._hearing.may.clear()

    def end_silence(self) -> None:
        """Let it through again, what was held back too."""
        self._hearing.may.set()

    async def cut(self) -> None:
        """Break every connection; what was on its way is lost."""
        for link in (links := list(self._links)):
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._server.is_serving():  # it came as the network went: nobody would cut it
            writer.transport.abort()
            return
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        sides = [writer]
        try:
            answers, far = await self._gateway()
            sides.append(far)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(pump(reader, far, Passing()))
                ways.create_task(pump(answers, writer, self._hearing))
            for side in sides:
                side.close()
        except* (OSError, asyncio.CancelledError):
            for side in sides:
                side.transport.abort()
        finally:
            self._links.discard(link)

    async def _gateway(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in self._targets:
            target = self._targets.pop(0)
            self._targets.append(target)
            with suppress(OSError):
                async with asyncio.timeout(CONNECT_LIMIT_S):
                    return await asyncio.open_connection(target.hostname, target.port)
        raise ConnectionRefusedError("no gateway listens")
