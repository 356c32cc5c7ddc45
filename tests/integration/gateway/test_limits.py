"""Limits over all gateways, in a real Valkey; and a gateway that is asked too much."""

import asyncio
import contextlib
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from gateway.counters import Counters
from gateway.identity.signature import secret_key, signed
from gateway.limits.limiter import Limiter
from gateway.limits.rules import Over, Who
from gateway.limits.settings import LimitSettings
from gateway.redis_client import RedisClient
from gateway.submit.claims import Claims
from schemas import redis_keys
from schemas.events import UserMessage
from schemas.load import Load, encode
from schemas.redis_rights import RIGHTS
from schemas.topics import shard_of
from tests.integration.gateway.client import Client
from tests.integration.gateway.process import PATIENT, Gateway, running_gateway
from tests.integration.gateway.raw import raw, until_gone
from tests.integration.gateway.writer import published
from tests.stack import RunningStack
from tests.unit.gateway.identity.minted import SECRET
from tests.waiting import POLL_S
from workers.history.redis_history import connect as connect_redis
from workers.history.spent import Spent
from workers.intake.actions import MessageKey, NoteEnd


@contextlib.asynccontextmanager
async def limiters(url: str, count: int, **settings: Any) -> AsyncIterator[list[Limiter]]:
    """So many gateways' limiters, each of which has said that it lives."""
    clients = [RedisClient(url, Counters(), answer_limit_ms=60_000) for _ in range(count)]
    chosen = LimitSettings(epoch=1, **settings)
    made = [Limiter(chosen, client, Counters()) for client in clients]
    try:
        for each in made * 2:  # who came first hears of the others now
            await each.beat()
        yield made
    finally:
        await asyncio.gather(*(client.close() for client in clients))


def limit_of(over: Over | None) -> str | None:
    return None if over is None else over.limit


def somebody() -> Who:
    tag = uuid4().hex[:8]
    return Who(f"s-{tag}", f"ada}}{tag}", f"203.0.113.{int(tag[:2], 16)}:{tag}")


async def test_sockets_are_counted_over_all_gateways(servers: RunningStack) -> None:
    who = somebody()
    async with limiters(servers.file.redis, 2, connections_per_session=3) as (one, other):
        met = [limit_of(await each.enter(who)) for each in (one, other, one, other, one)]
        assert met == [None, None, None, "connections_per_session", "connections_per_session"]
        one.leave(who)
        await one.beat()
        assert await other.enter(who) is None
        assert limit_of(await one.enter(who)) == "connections_per_session"


async def test_what_a_gateway_had_that_died_counts_no_more(servers: RunningStack) -> None:
    who = somebody()
    async with limiters(servers.file.redis, 1, connections_per_session=1) as (dead,):
        assert await dead.enter(who) is None
    async with limiters(servers.file.redis, 1, connections_per_session=1) as (one,):
        assert limit_of(await one.enter(who)) == "connections_per_session"
        one._alive = [one._gateway]  # as it hears when the other's time is over
        assert await one.enter(who) is None


async def test_what_was_written_before_redis_was_away_counts_no_more(
    servers: RunningStack,
) -> None:
    who, other = somebody(), somebody()
    async with limiters(servers.file.redis, 2, connections_per_session=2) as (one, two):
        assert await one.enter(who) is None
        assert await one.enter(other) is None
        asked, one._present = one._present, cast(Any, nothing)
        await one.beat()
        one.leave(who)  # nobody is told of it
        one._present = asked
        for each in (one, two):
            await each.beat()
        assert [await two.enter(who) for _ in range(2)] == [None, None]
        assert await two.enter(other) is None
        assert limit_of(await two.enter(other)) == "connections_per_session"


async def test_a_server_that_has_lost_its_scripts_is_given_them_again(
    servers: RunningStack,
) -> None:
    who, redis = somebody(), connect_redis(servers.file.redis).redis
    limits = {"connections_per_user": 2, "connections_per_address": 2}
    try:
        async with limiters(servers.file.redis, 2, **limits) as (one, two):
            for gateway in (one, two):
                await redis.script_flush()
                assert await gateway.enter(who) is None
            await redis.script_flush()
            assert limit_of(await one.enter(who)) == "connections_per_user"
    finally:
        await redis.aclose()


async def nothing(*_: object) -> object:
    """What a Redis says that is away."""
    return None


async def test_one_hash_holds_rates_what_runs_and_what_was_spent(servers: RunningStack) -> None:
    who = somebody()
    assert who.user is not None
    limits = {"user_running": 2, "user_messages_per_minute": 4, "user_tokens_per_day": 100}
    redis = connect_redis(servers.file.redis)
    spent = Spent(redis, lambda: None)
    async with limiters(servers.file.redis, 2, **limits) as (one, other):
        met = [limit_of(await each.message(who, f"m{n}")) for n, each in enumerate((one, other))]
        assert met == [None, None]
        over = await one.message(who, "m2")
        assert over is not None
        assert (over.limit, over.value) == ("user_running", 2)
        assert over.retry_after_ms > 0
        assert await other.message(who, "m0") is None  # it is no second one
        await spent.note(NoteEnd(who.user, MessageKey(who.session_id, "m0"), 60))
        # What one limit refused, no other has counted: this is the fourth of the minute.
        assert await one.message(who, "m3") is None
        await spent.note(NoteEnd(who.user, MessageKey(who.session_id, "m1"), 0))
        over = await one.message(who, "m4")
        assert over is not None
        assert (over.limit, over.value) == ("user_messages_per_minute", 4)
        assert 0 < over.retry_after_ms <= 15_000
        await spent.note(NoteEnd(who.user, MessageKey(who.session_id, "m3"), 40))
        over = await other.message(who, "m5")
        assert over is not None
        assert (over.limit, over.value) == ("user_tokens_per_day", 100)
        assert 0 < over.retry_after_ms <= 24 * 3_600_000
        assert await other.message(somebody(), "m") is None
    await redis.aclose()


def token(user: str, session_id: str = "") -> str:
    sessions = [f"{session_id or user}*"]
    claims = {"sub": user, "exp": time.time() + 3600, "sessions": sessions}
    return signed(claims, secret_key(SECRET, "HS256"))


def coming(gateway: Gateway, session_id: str, address: str, minted: str = "") -> Client:
    """A client of that address, as a proxy on this machine tells it."""
    headers = {
        "Authorization": f"Bearer {minted or token(session_id)}",
        "X-Forwarded-For": address,
    }
    return Client(gateway.url, session_id, additional_headers=headers)


@pytest.fixture(scope="module")
def limited(servers: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    settings = {
        "AUTH": "jwt",
        "JWT_SECRET": SECRET,
        "TRUSTED_PROXIES": "127.0.0.1",
        "CONNECTIONS_PER_ADDRESS": "3",
        "CONNECTIONS_PER_USER": "2",
        "USER_MESSAGES_PER_MINUTE": "2",
        "ADDRESS_READS_PER_MINUTE": "4",
        "UNIDENTIFIED_CONNECTIONS": "20",
    }
    output = tmp_path_factory.mktemp("limited") / "log"
    named = PATIENT | {f"TALKLOG_{name}": value for name, value in settings.items()}
    with running_gateway(servers, output, **named) as running:
        yield running


def house() -> str:
    """An address that nobody else of the tests has."""
    return f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"


async def test_an_address_that_is_full_is_answered_429_and_others_feel_nothing(
    limited: Gateway, session_id: str
) -> None:
    address = house()
    async with contextlib.AsyncExitStack() as stack:
        for number in range(3):
            one = coming(limited, f"{session_id}-{number}", address)
            await (await stack.enter_async_context(one)).joined()
        with pytest.raises(InvalidStatus) as refused:
            async with coming(limited, f"{session_id}-3", address.replace("::1", "::2")):
                pass
        response = refused.value.response
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) >= 1
        assert b"3 is the limit (connections_per_address)" in (response.body or b"")
        async with coming(limited, f"{session_id}-4", house()) as other:
            await other.joined()
    metrics = limited.get("/metrics", limited.admin_port)[1]
    assert 'talklog_gateway_limited_total{limit="connections_per_address"}' in metrics


async def test_a_users_third_socket_is_closed_with_the_limit_and_the_time(
    limited: Gateway, session_id: str
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(2):
            one = coming(limited, f"{session_id}-{number}", house(), token(session_id))
            await (await stack.enter_async_context(one)).joined()
        async with coming(limited, f"{session_id}-2", house(), token(session_id)) as third:
            code, reason = await third.until_closed()
    assert code == 4009
    told = json.loads(reason or "")
    assert (told["limit"], told["value"]) == ("connections_per_user", 2)
    assert told["retry_after_ms"] > 0


async def test_a_message_too_many_is_refused_by_name_and_is_in_no_log(
    limited: Gateway, session_id: str
) -> None:
    async with coming(limited, session_id, house()) as client:
        for number in range(3):
            sent = {"type": "user_message", "content": "Hi", "message_id": f"m{number}"}
            await client.send(sent)
        error = await client.got(lambda f: f["type"] == "error" and "cursor" not in f)
        assert (error["code"], error["limit"], error["message_id"]) == (
            "rate_limited",
            "user_messages_per_minute",
            "m2",
        )
        assert 0 < error["retry_after_ms"] <= 60_000


async def test_who_has_to_wait_is_told_and_what_would_wait_too_long_is_in_no_log(
    limited: Gateway, servers: RunningStack, session_id: str
) -> None:
    shard, told = shard_of(session_id, 8), count(1)
    client_of_redis = connect_redis(servers.file.redis)
    redis = client_of_redis.redis

    async def asks() -> dict[str, Any]:
        """Say something, each time as somebody else; give the last that is told about it."""
        message_id = f"m{next(told)}"
        minted = token(f"{session_id}-{message_id}", session_id)
        async with coming(limited, session_id, house(), minted) as client:
            await client.send({"type": "user_message", "content": "Hi", "message_id": message_id})
            await client.send({"type": "ping", "nonce": message_id})
            await client.got(lambda f: f.get("nonce") == message_id)
            return [f for f in client.frames if f.get("message_id") == message_id][-1]

    async def asks_while(waiting: int) -> dict[str, Any]:
        load = Load(
            told=next(told), shards=[shard], running=1, room=1, waiting=waiting, answer_s=10.0
        )
        await redis.hset(redis_keys.load(), "a worker", encode(load))
        return await asks()

    cases: list[tuple[int, dict[str, Any]]] = [
        (2, {"state": "queued", "position": 3, "eta_ms": 30_000}),
        (99, {"code": "busy", "limit": "busy_after_s"}),
    ]
    try:
        for waiting, wanted in cases:
            # The gateway asks once a second.
            for _ in range(100):
                found = await asks_while(waiting)
                if wanted.items() <= found.items():
                    break
                await asyncio.sleep(POLL_S)
            assert wanted.items() <= found.items()
        assert 1_000 <= found["retry_after_ms"] <= 120_000
        said = await published(servers.file.kafka, session_id)
        assert found["message_id"] not in [message.message_id for message in said]
    finally:
        await redis.hdel(redis_keys.load(), "a worker")
        await client_of_redis.aclose()
    # The same gateway serves the next test: until it has heard that nobody waits, it refuses.
    for _ in range(100):
        after = await asks()
        if after.get("limit") != "busy_after_s":
            break
        await asyncio.sleep(POLL_S)
    assert after.get("limit") != "busy_after_s"


async def test_pages_of_history_have_a_rate(limited: Gateway, session_id: str) -> None:
    async with coming(limited, session_id, house()) as client:
        await client.joined()
        for _ in range(4):
            await client.send({"type": "history"})
        error = await client.got(lambda f: f["type"] == "error" and "cursor" not in f)
        assert error["limit"] == "address_reads_per_minute"
        assert len(client.of_type("history")) == 3  # the snapshot was the first


async def test_sockets_that_say_nothing_throw_each_other_out(
    limited: Gateway, session_id: str
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(raw(limited.port, b"GET /ws/chat/"))  # and no more
            for _ in range(60)
        ]
        await asyncio.gather(*(until_gone(reader) for reader, _ in opened[:40]))
        async with coming(limited, session_id, house()) as client:
            await client.joined()
        assert limited.metric("strangers_dropped_total") >= 40


async def test_a_storm_waits_its_turn_and_who_is_there_is_answered(
    servers: RunningStack, tmp_path: Path, session_id: str
) -> None:
    settings = {"TALKLOG_CONNECTIONS_PER_SECOND": "10"}
    with running_gateway(servers, tmp_path / "log", **settings) as gateway:
        async with Client(gateway.url, session_id) as there:
            await there.joined()

            async def come(number: int) -> int:
                try:
                    async with connect(f"{gateway.url}/ws/chat/{session_id}-{number}/") as socket:
                        await socket.recv()
                        return 101
                except InvalidStatus as refused:
                    later = int(refused.response.headers["Retry-After"]) >= 1
                    return refused.response.status_code if later else 0

            storm = [asyncio.create_task(come(number)) for number in range(150)]
            await there.send({"type": "ping", "nonce": 1})
            await there.got(lambda f: f["type"] == "pong")
            found = await asyncio.gather(*storm)
        assert set(found) == {101, 429}
        assert found.count(101) >= 20


def test_behind_tls_a_browser_is_told_to_come_by_no_other_way(limited: Gateway) -> None:
    url = f"http://127.0.0.1:{limited.port}/"
    found = []
    for proto in ("https", "http"):
        asked = urllib.request.Request(url, headers={"X-Forwarded-Proto": proto})
        with urllib.request.urlopen(asked) as answer:
            found.append(answer.headers["Strict-Transport-Security"])
    assert found == ["max-age=31536000", None]


async def test_a_gateway_and_a_worker_need_no_more_than_their_rights_in_redis(
    servers: RunningStack,
) -> None:
    # A command that is not allowed looks like a Redis that is away.
    admin, who = connect_redis(servers.file.redis), somebody()
    assert who.user is not None
    acl = partial(cast(Any, admin.redis).execute_command, "ACL")
    urls = {}
    for tier in ("gateway", "worker"):
        rights = RIGHTS[tier].split()
        await acl("SETUSER", f"a-{tier}", "reset", "on", ">pw", *rights)
        urls[tier] = servers.file.redis.replace("redis://", f"redis://a-{tier}:pw@")
    counters, given_up = Counters(), list[int]()
    client = RedisClient(urls["gateway"], counters, answer_limit_ms=60_000)
    held = Limiter(LimitSettings(epoch=1, user_tokens_per_day=10), client, Counters())
    worker = connect_redis(urls["worker"])
    message = UserMessage(session_id=who.session_id, message_id="m1", created_at="", content="x")
    try:
        await held.beat()
        assert await held.enter(who) is None
        held.leave(who)
        await held.beat()
        assert await held.message(who, "m1") is None
        claims = Claims(client, 1, 20, counters)
        claim = await claims.claim(message)
        await claims.release(claim)
        claims.accept(await claims.claim(message))
        await claims.write()
        await admin.redis.hset(redis_keys.load(), "gone", "x")
        assert b"gone" in await client.fields(redis_keys.load())
        await client.drop_fields(redis_keys.load(), [b"gone"])
        spent = Spent(worker, lambda: given_up.append(1))
        await spent.note(NoteEnd(who.user, MessageKey(who.session_id, "m1"), 10))
        assert limit_of(await held.message(who, "m2")) == "user_tokens_per_day"
        assert (counters.redis_failures, client.away(), given_up) == (0, 0, [])
    finally:
        await asyncio.gather(client.close(), worker.aclose())
        await acl("DELUSER", "a-gateway", "a-worker")
        await admin.aclose()
