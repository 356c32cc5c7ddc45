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


class Counting(Connection):
    """A connection that only counts."""

    def __init__(self) -> None:
        self.ticked = 0

    def tick(self, now_s: float) -> None:
        self.ticked += 1


class Slow(Counting):
    """A connection whose tick takes its time."""

    def tick(self, now_s: float) -> None:
        time.sleep(slices.SLICE_S / 4)
        super().tick(now_s)


async def test_a_sweep_of_very_many_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # Seen: beside 19,500 silent sockets a token came 260 ms late once a second.
    monkeypatch.setattr(module, "SWEEP_EVERY_S", 0.0)
    crowd = [Slow() for _ in range(100)]
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


async def test_a_sweep_takes_a_part_of_them_at_a_time_and_all_of_them_each_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Seen: beside 10,000 silent sockets the slowest hundredth of tokens came 95 ms late, not 26.
    monkeypatch.setattr(module, "SWEEP_PART", 10)
    slept: list[float] = []
    at: list[int] = []
    over = asyncio.Event()
    crowd = [Counting() for _ in range(95)]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        at.append(sum(each.ticked for each in crowd))
        if len(slept) > 20:
            over.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))
    server: Any = ChatServer.__new__(ChatServer)
    server._shared = SimpleNamespace(followers=cast(Any, crowd))
    sweeping = asyncio.create_task(server.sweep())
    await over.wait()
    sweeping.cancel()
    await asyncio.wait({sweeping})
    assert at[:11] == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95]
    assert sum(slept[:10]) == pytest.approx(module.SWEEP_EVERY_S)
    assert {each.ticked for each in crowd} == {2}
