"""The timer of all connections: however many there are, others have their turn meanwhile."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.feed import slices
from gateway.socket import server as module
from gateway.socket.connection import Connection
from gateway.socket.server import ChatServer


class Silent(Connection):
    """A connection whose tick takes its time."""

    def __init__(self) -> None:
        self.ticked = 0

    def tick(self, now_s: float) -> None:
        time.sleep(slices.SLICE_S / 4)
        self.ticked += 1


async def test_a_sweep_of_very_many_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # Seen: beside 19,500 silent sockets a token came 260 ms late once a second.
    monkeypatch.setattr(module, "SWEEP_EVERY_S", 0.0)
    crowd = [Silent() for _ in range(100)]
    server: Any = ChatServer.__new__(ChatServer)
    server._shared = SimpleNamespace(followers=cast(Any, crowd))
    sweeping = asyncio.create_task(server.sweep())
    turns = 0
    while not crowd[-1].ticked:
        await asyncio.sleep(0)
        turns += 1
    sweeping.cancel()
    await asyncio.wait({sweeping})
    assert turns > 10
    assert all(each.ticked for each in crowd)
