"""A client that says far too much: everybody else goes on, and its stops are no flood of records.

Seen: 60 sockets with 300 KiB of `ping` each held a gateway for 21 s, for the library gives what is
buffered without letting anybody else run; what dead sockets had said was performed for 25 s more.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.counters import Counters
from gateway.limits.rules import Who
from gateway.snapshot.snapshots import Fold, FoldUnavailable
from gateway.socket import pace as module
from gateway.socket.address import Address
from gateway.socket.connection import Connection
from gateway.socket.frame_bucket import (
    BURST,
    BURST_S,
    JOIN_COSTS,
    PAGE_COSTS,
    PER_SECOND,
    FrameBuckets,
)
from gateway.socket.pace import Pace
from gateway.socket.protocol import GiveEarlier
from gateway.socket.shared import Shared
from schemas.events import Cancel
from schemas.frames import Frame
from schemas.shard_log import ShardLog
from schemas.transcript import Message, Transcript
from tests.unit.gateway.limits.alone import limiter

PING = '{"type":"ping","nonce":1}'


class Socket:
    """A socket whose frames all lie in its buffer, as the library gives them: without waiting."""

    writable = True
    left_in_order = False
    on_writable = None

    def __init__(self, *frames: str, closes_after: int | None = None) -> None:
        self._frames = frames
        self._closes_after = closes_after
        self.given = 0
        self.sent: list[bytes] = []

    @property
    def open(self) -> bool:
        return self._closes_after is None or self.given <= self._closes_after

    async def __aiter__(self) -> AsyncIterator[str]:
        for frame in self._frames:
            self.given += 1
            yield frame

    def push(self, frame: bytes) -> None:
        self.sent.append(frame)

    async def until_writable(self) -> None:
        pass

    async def end(self, *_: object) -> None:
        pass

    async def wait_closed(self) -> None:
        pass

    def cut_if_late(self) -> None:
        pass

    def pongs(self) -> int:
        return sum(b'"pong"' in frame for frame in self.sent)


class Submitter:
    def __init__(self, *accepted: str) -> None:
        self.accepted = accepted
        self.cancels: list[str] = []

    async def stop(self, cancel: Cancel) -> Frame | None:
        self.cancels.append(cancel.message_id)
        return None

    async def has_accepted(self, session_id: str, message_id: str) -> bool:
        return message_id in self.accepted


class Snapshots:
    """The fold of a session with one message that ended and one that runs."""

    def __init__(self, away: bool = False) -> None:
        self.away = away

    async def fold(self, *_: object) -> Fold:
        if self.away:
            raise FoldUnavailable("away")
        ended = Message(message_id="ended", state="complete")
        running = Message(message_id="running", state="generating", attempt="a")
        return Fold(Transcript(messages={"ended": ended, "running": running}), 0)

    def request(self, joiner: object) -> None:
        pass

    def withdraw(self, joiner: object) -> None:
        pass


async def end(shard: int) -> int:
    return 0


def shared_parts(submitter: Submitter, snapshots: Snapshots) -> Shared:
    return Shared(
        epoch=1,
        shards=1,
        tail=cast(Any, SimpleNamespace(shard_logs={0: ShardLog(0)}, ends=SimpleNamespace(end=end))),
        followers=cast(Any, SimpleNamespace(add=lambda one: None, remove=lambda one: None)),
        submitter=cast(Any, submitter),
        snapshots=cast(Any, snapshots),
        counters=Counters(),
        models=(),
        idle_limit_s=0.0,
        frame_buckets=FrameBuckets(PER_SECOND),
        limiter=limiter(),
        spawn=lambda work: work.close(),
    )


async def served(socket: Socket, submitter: Submitter, snapshots: Snapshots) -> None:
    shared = shared_parts(submitter, snapshots)
    await Connection(cast(Any, socket), Address("s", None, 0), 0, shared).run(None)


async def perform(
    *frames: str, closes_after: int | None = None, accepted: tuple[str, ...] = ()
) -> tuple[Socket, Submitter]:
    socket, submitter = Socket(*frames, closes_after=closes_after), Submitter(*accepted)
    await served(socket, submitter, Snapshots())
    return socket, submitter


async def test_everybody_else_has_a_turn_after_each_frame_that_was_buffered() -> None:
    socket, turns = Socket(*[PING] * 100), 0

    async def other() -> None:
        nonlocal turns
        while socket.pongs() < 100:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(other())
        tasks.create_task(served(socket, Submitter(), Snapshots()))
    assert turns >= 100


async def test_who_says_more_than_its_share_waits_whatever_it_says() -> None:
    kinds = [PING, '{"type":"cancel","message_id":"none"}', '{"type":"token","token":"t"}']
    frames = itertools.islice(itertools.cycle(kinds), int(BURST) * 10)
    socket = Socket(*frames)
    serving = asyncio.create_task(served(socket, Submitter(), Snapshots()))
    for _ in range(int(BURST) * 20):
        await asyncio.sleep(0)
    assert not serving.done()
    assert socket.given <= BURST
    serving.cancel()
    await asyncio.wait({serving})


async def test_who_has_said_his_share_on_one_socket_waits_on_the_next_one_too() -> None:
    shared = shared_parts(Submitter(), Snapshots())

    now_s = time.monotonic()
    shared.frame_buckets.of("ann", now_s).take(0, now_s, extra=10_000)

    async def serve(user: str) -> None:
        socket, who = cast(Any, Socket(PING)), Who("s", user)
        await Connection(socket, Address("s", None, 0), 0, shared, who=who).run(None)

    await serve("bob")
    assert shared.counters.frames_held == 0
    anns = asyncio.create_task(serve("ann"))
    while not shared.counters.frames_held:
        assert not anns.done()
        await asyncio.sleep(0)
    anns.cancel()
    await asyncio.wait({anns})


async def test_who_joins_without_an_end_waits_and_one_that_left_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LEFT_SEEN_WITHIN_S", 0.01)
    counters, now_s = Counters(), time.monotonic()
    bucket = FrameBuckets(PER_SECOND).of("ann", now_s)
    pace = Pace(bucket, counters)
    joins = int(BURST / JOIN_COSTS) - 1
    for _ in range(joins):
        assert await pace.join(lambda: True)
    assert counters.frames_held == 0
    assert bucket.wait_s(now_s - BURST_S) >= joins * JOIN_COSTS / PER_SECOND - 1e-6

    bucket.take(0, now_s, extra=10_000)
    full = bucket.wait_s(now_s)
    there = iter([True, True, False, False])
    assert not await pace.join(lambda: next(there))
    assert counters.frames_held == 1
    assert bucket.wait_s(now_s) == full


async def test_pages_of_history_cost_their_user_more_than_pings_do() -> None:
    bucket, now_s = FrameBuckets(PER_SECOND).of("ann", time.monotonic()), time.monotonic()
    pages = int(BURST / PAGE_COSTS) + 1
    resting = [Pace(bucket, Counters()).rest(0, [GiveEarlier(None, 9)]) for _ in range(pages)]
    async with asyncio.timeout(60):
        await asyncio.gather(*resting)
    assert bucket.wait_s(now_s) > 0


async def test_what_a_socket_said_that_has_closed_is_not_performed() -> None:
    socket, _ = await perform(*[PING] * 50, closes_after=7)
    assert socket.pongs() == 7


async def test_what_a_client_said_before_it_left_in_order_is() -> None:
    socket = Socket(*[PING] * 50, closes_after=7)
    socket.left_in_order = True
    await served(socket, Submitter(), Snapshots())
    assert socket.pongs() == 50


async def test_nothing_is_performed_after_the_gateway_itself_has_closed_it() -> None:
    socket, _ = await perform(*["{"] * 30, PING)
    assert socket.pongs() == 0
    assert sum(b'"bad_frame"' in frame for frame in socket.sent) == 10


def stop(message_id: str) -> str:
    return f'{{"type":"cancel","message_id":"{message_id}"}}'


async def test_a_cancel_of_what_is_unknown_or_has_ended_makes_no_record() -> None:
    socket, submitter = await perform(stop("nobody"), stop("ended"))
    assert submitter.cancels == []
    refused = [frame for frame in socket.sent if b"nothing_to_cancel" in frame]
    assert [b'"nobody"' in refused[0], b'"ended"' in refused[1]] == [True, True]


async def test_a_cancel_of_what_runs_is_one_record_however_often_it_is_said() -> None:
    _, submitter = await perform(*[stop("running")] * 10, '{"type":"cancel"}')
    assert submitter.cancels == ["running"]


async def test_a_cancel_of_what_was_accepted_and_is_in_no_answer_yet_is_a_record() -> None:
    _, submitter = await perform(stop("new"), accepted=("new",))
    assert submitter.cancels == ["new"]


async def test_a_cancel_that_can_not_be_looked_up_is_a_record() -> None:
    socket, submitter = Socket(stop("any")), Submitter()
    await served(socket, submitter, Snapshots(away=True))
    assert submitter.cancels == ["any"]
