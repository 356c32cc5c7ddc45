"""A model server that answers with raw bytes, as servers really send them: the forms of others."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


@dataclass
class Raw:
    """One answer: its bytes, and how it is announced. A pause of the stream is an Event."""

    body: list[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(STREAM))


Answer = Callable[[dict[str, Any]], Raw]


@dataclass
class RawServer:
    """Answers each request by `answer`, which is given its JSON body; keeps all bodies."""

    answer: Answer
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """The `authorization` of each request, in lower case."""
    types: list[str] = field(default_factory=list)
    """The `content-type` of each."""
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
                body = json.loads(await reader.readexactly(length))
                self.asked.append(body)
                self.keys.append(head.partition("authorization: ")[2].partition("\r\n")[0])
                self.types.append(head.partition("content-type: ")[2].partition("\r\n")[0])
                raw = self.answer(body)
                lines = [f"HTTP/1.1 {raw.status} X", "transfer-encoding: chunked"]
                lines += [f"{name}: {value}" for name, value in raw.headers.items()]
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
                for part in raw.body:
                    writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                    await writer.drain()
                    await asyncio.sleep(0)  # a turn for the reader, so that parts come apart
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(answer: Answer) -> AsyncIterator[RawServer]:
    served = RawServer(answer)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, limit=1 << 22)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield served
    finally:
        server.close()
