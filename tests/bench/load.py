"""The load: so many sessions, each with a stream of stamped tokens, read as a client reads them."""

import asyncio
import re
import time

import msgspec
from websockets.asyncio.client import connect

_STAMP = re.compile(r"@(\d+)")


class _Entry(msgspec.Struct):
    content: str = ""


class _Frame(msgspec.Struct):
    type: str
    content: str = ""
    code: str = ""
    state: str = ""
    messages: list[_Entry] = []


_decoder = msgspec.json.Decoder(_Frame)


async def load(
    urls: list[str], sessions: int, tokens: int, rate: float, tag: str
) -> tuple[list[float], int]:
    """Ask once in every session, all at once.

    Gives each token's added latency in ms (from its stamp, written as it left the model, to its
    receipt) and how many frames brought them. Raises AssertionError if an answer is not whole.
    """
    added: list[float] = []
    frames = 0

    async def one(number: int) -> None:
        nonlocal frames
        session = f"{tag}-{number}"
        address = urls[number % len(urls)].replace("http", "ws", 1) + f"/ws/chat/{session}/"
        orders = f"[[key={session} tokens={tokens} rate={rate} stamp=1]]"
        seen = 0
        # Without pings: a server that is past its capacity is late, not dead.
        async with connect(address, compression=None, max_size=None, ping_interval=None) as socket:
            await socket.send(
                msgspec.json.encode({"type": "user_message", "content": f"go {orders}"}).decode()
            )
            async for raw in socket:
                now = time.monotonic_ns()
                frame = _decoder.decode(raw)
                assert frame.type != "error", raw
                if frame.state == "generating":
                    seen = 0  # another worker goes on: its first chunk is the text so far
                elif frame.type == "snapshot":
                    # In place of what came before it; what follows it comes (again).
                    seen = sum(len(_STAMP.findall(each.content)) for each in frame.messages)
                elif frame.type == "ai_response_chunk":
                    stamps = _STAMP.findall(frame.content)
                    added.extend((now - int(stamp)) / 1e6 for stamp in stamps)
                    seen += len(stamps)
                    frames += 1
                elif frame.type == "ai_response_complete":
                    break
        assert seen == tokens, f"{session}: {seen} of {tokens} tokens"

    await asyncio.gather(*(one(number) for number in range(sessions)))
    return added, frames
