"""The terminal's connection against real sockets: a silent gateway is asked, then left."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from deploy.chat import link
from deploy.chat.link import Address, Link, Patience

CONNECTED = {"type": "status", "state": "connected", "recovered": None, "epoch": 1}
SNAPSHOT = {"type": "snapshot", "cursor": "1.0.9", "messages": [], "ended": []}
GENERATING = {
    "type": "status",
    "state": "generating",
    "cursor": "1.0.10",
    "session_id": "s",
    "message_id": "m",
    "attempt": "a",
    "fence": [1, 1, 0],
    "worker": "w",
    "model": "x",
    "created_at": "2026-01-01T00:00:00.000Z",
    "prompt": {"content": "?", "created_at": "2026-01-01T00:00:00.000Z"},
}


@asynccontextmanager
async def following(
    gateway: Callable[[ServerConnection, int], Awaitable[None]],
) -> AsyncIterator[Link]:
    """Give a link to a gateway of which each connection (with its number) does what it is told."""
    connections = 0

    async def handle(socket: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await gateway(socket, connections)

    async with serve(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        one = Link(Address(f"ws://127.0.0.1:{port}", "s", 0), lambda: None)
        running = asyncio.create_task(one.run())
        try:
            yield one
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def test_a_silent_gateway_is_asked_and_left_with_the_cursor_while_an_answer_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "EAGER", Patience(open_s=30.0, quiet_s=0.05, answer_s=0.05))
    asked: list[str] = []
    second: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def gateway(socket: ServerConnection, number: int) -> None:
        if number == 1:
            for frame in (CONNECTED, SNAPSHOT, GENERATING):
                await socket.send(json.dumps(frame))
            with contextlib.suppress(ConnectionClosed):
                async for text in socket:
                    asked.append(str(text))  # and nothing is said
        elif not second.done():
            assert socket.request is not None
            second.set_result(socket.request.path)
        await socket.wait_closed()

    async with following(gateway):
        path = await asyncio.wait_for(second, 30)
    assert "cursor=1.0.10" in path
    assert [json.loads(text)["type"] for text in asked] == ["ping"]


async def test_a_gateway_that_answers_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "EAGER", Patience(open_s=30.0, quiet_s=0.02, answer_s=30.0))
    answered = 0
    enough = asyncio.Event()

    async def gateway(socket: ServerConnection, number: int) -> None:
        nonlocal answered
        assert number == 1
        for frame in (CONNECTED, SNAPSHOT, GENERATING):
            await socket.send(json.dumps(frame))
        async for text in socket:
            nonce = json.loads(text)["nonce"]
            await socket.send(json.dumps({"type": "pong", "session_id": "s", "nonce": nonce}))
            answered += 1
            if answered == 5:
                enough.set()

    async with following(gateway) as one:
        await asyncio.wait_for(enough.wait(), 30)
        assert one.state == "connected"
