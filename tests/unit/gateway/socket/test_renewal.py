"""A token on an open socket: its end, the next one, and one that allows less."""

import json
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.counters import Counters
from gateway.identity.claims import BadToken, CantTell
from gateway.identity.hook import Hook
from gateway.identity.rights import VERBS, Rights
from gateway.limits.rules import Who
from gateway.socket.address import Address
from gateway.socket.connection import Connection
from gateway.socket.frame_bucket import PER_SECOND, FrameBuckets
from gateway.socket.shared import Shared
from schemas.events import UserMessage
from schemas.frames import Accepted, Frame
from schemas.shard_log import ShardLog
from tests.unit.gateway.limits.alone import limiter
from tests.unit.gateway.socket.test_floods import PING, Snapshots, Socket, end

SAY = '{"type":"user_message","content":"Hi","message_id":"m1"}'
EVER = Rights("alice", ("s",), VERBS, until_s=time.time() + 3600)
HOOK = Hook("http://backend/who")
OVER = Rights("alice", ("s",), VERBS, until_s=0.0)


class Submitter:
    def __init__(self) -> None:
        self.said: list[str | None] = []

    def wait(self, accepted: Accepted) -> None:
        pass

    async def submit(self, message: UserMessage, who: Who) -> Frame:
        self.said.append(message.user)
        return Accepted(session_id="s", message_id="m1", duplicate=False, created_at="")


class Gate:
    """Tokens by their name: rights, or what is raised."""

    def __init__(self, **gives: Rights | Exception) -> None:
        self.gives = gives

    async def rights(self, token: str) -> Rights:
        found = self.gives[token]
        if isinstance(found, Exception):
            raise found
        return found


class Served:
    """A connection with fakes around it."""

    def __init__(self, rights: Rights, *frames: str, **gives: Rights | Exception) -> None:
        self.socket, self.submitter, self.counters = Socket(*frames), Submitter(), Counters()
        shared = Shared(
            epoch=1,
            shards=1,
            tail=cast(
                Any, SimpleNamespace(shard_logs={0: ShardLog(0)}, ends=SimpleNamespace(end=end))
            ),
            followers=cast(Any, SimpleNamespace(add=lambda one: None, remove=lambda one: None)),
            submitter=cast(Any, self.submitter),
            snapshots=cast(Any, Snapshots()),
            counters=self.counters,
            models=(),
            idle_limit_s=0.0,
            frame_buckets=FrameBuckets(PER_SECOND),
            limiter=limiter(),
            spawn=lambda work: work.close(),
            tokens=cast(Any, Gate(**gives)),
        )
        address = Address("s", None, 0)
        self.connection = Connection(cast(Any, self.socket), address, 0, shared, rights)

    async def run(self) -> "Served":
        await self.connection.run(None)
        return self

    def codes(self) -> list[str]:
        sent = (json.loads(frame[frame.index(b"{") :]) for frame in self.socket.sent)
        return [frame["code"] for frame in sent if frame["type"] == "error"]


def token(name: str) -> str:
    return f'{{"type":"token","token":"{name}"}}'


async def test_after_its_end_nothing_is_performed_any_more() -> None:
    served = await Served(OVER, SAY, PING).run()
    assert served.counters.closed == {4001: 1}
    assert served.submitter.said == []
    assert served.socket.pongs() == 0


async def test_it_is_closed_at_its_end_though_nobody_says_anything() -> None:
    served = Served(OVER)
    await served.connection._join(None)
    served.connection.tick(0.0)
    assert served.counters.closed == {4001: 1}
    assert served.connection.gone


async def test_a_slow_socket_is_closed_at_its_end_as_well() -> None:
    served = Served(OVER)
    await served.connection._join(None)
    served.socket.writable = False
    served.connection.caught_up = False
    served.connection.tick(0.0)
    assert served.counters.closed == {4001: 1}


async def test_a_token_that_came_before_keeps_it_open() -> None:
    soon = Rights("alice", ("s",), VERBS, until_s=time.time() + 60)
    served = await Served(soon, token("next"), SAY, next=EVER).run()
    assert served.counters.closed == {}
    assert served.submitter.said == ["alice"]
    assert not served.connection._protocol.is_over(time.time() + 120)


async def test_fewer_rights_take_effect_at_once() -> None:
    reader = Rights("alice", ("s",), frozenset({"read"}), EVER.until_s)
    served = await Served(
        EVER, SAY, token("reader"), SAY, token("ever"), SAY, reader=reader, ever=EVER
    ).run()
    assert served.submitter.said == ["alice", "alice"]
    assert served.codes() == ["forbidden"]
    assert served.counters.closed == {}


@pytest.mark.parametrize(
    ("next_one", "code"),
    [
        (Rights("alice", ("other",), VERBS, EVER.until_s), 4003),
        (Rights("alice", ("s",), frozenset({"say"}), EVER.until_s), 4003),
        (BadToken("expired"), 4001),
    ],
)
async def test_one_that_does_not_allow_this_closes_it(
    next_one: Rights | Exception, code: int
) -> None:
    served = await Served(EVER, token("next"), SAY, next=next_one).run()
    assert served.counters.closed == {code: 1}
    assert served.submitter.said == []


async def test_while_keys_are_away_the_token_before_holds() -> None:
    served = await Served(EVER, token("next"), SAY, next=CantTell("away")).run()
    assert served.codes() == ["unavailable"]
    assert served.submitter.said == ["alice"]
    assert served.counters.closed == {}


async def test_where_a_hook_knows_him_he_comes_again_by_himself() -> None:
    served = Served(OVER)
    served.connection._shared = replace(served.connection._shared, tokens=None, hook=HOOK)
    await served.connection._join(None)
    served.connection.tick(0.0)
    assert served.counters.closed == {1012: 1}
