"""Cancel, second submits of one id, and limits; with Redis and without."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from schemas.events import Cancel, UserMessage
from tests.integration.gateway.client import Client
from tests.integration.gateway.process import Gateway, running_gateway
from tests.integration.gateway.writer import Writer, chunks, published, start
from tests.stack import RunningStack


def ask(message_id: str, content: str = "Hello") -> dict[str, str]:
    return {"type": "user_message", "content": content, "message_id": message_id}


async def test_cancel_of_a_named_message_is_published(
    gateway: Gateway, servers: RunningStack, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.send(ask("m1"))
        await client.send({"type": "cancel", "message_id": "m1"})
        await client.send({"type": "cancel", "message_id": "nobody"})
        await client.send({"type": "ping", "nonce": 1})
        await client.got(lambda f: f["type"] == "pong")
        (refused,) = client.of_type("error")
        assert (refused["code"], refused["message_id"]) == ("nothing_to_cancel", "nobody")
        said, cancel = await published(servers.file.kafka, session_id)
        assert isinstance(said, UserMessage)
        assert isinstance(cancel, Cancel)
        assert cancel.message_id == "m1"


async def test_cancel_without_an_id_stops_the_running_one(
    gateway: Gateway, servers: RunningStack, writer: Writer, session_id: str
) -> None:
    await writer.answer(session_id, "m1", ["done"])
    await writer.put(start(session_id, "m2", "a2"), *chunks(session_id, "m2", ["x"], "a2"))
    async with Client(gateway.url, session_id) as client:
        await client.joined()
        await client.send({"type": "cancel"})
        await client.send({"type": "ping", "nonce": 1})
        await client.got(lambda f: f["type"] == "pong")
        (cancel,) = await published(servers.file.kafka, session_id)
        assert cancel.message_id == "m2"


async def test_cancel_without_an_id_works_after_a_resume_that_brought_no_fold(
    gateway: Gateway, servers: RunningStack, writer: Writer, session_id: str
) -> None:
    last = await writer.put(start(session_id, "m1"), *chunks(session_id, "m1", ["x"]))
    cursor = writer.cursor(session_id, last)
    async with Client(gateway.url, session_id, f"?cursor={cursor}") as client:
        await client.joined()
        await client.send({"type": "cancel"})
        await client.send({"type": "ping", "nonce": 1})
        await client.got(lambda f: f["type"] == "pong")
        assert client.of_type("error") == []
        (cancel,) = await published(servers.file.kafka, session_id)
        assert cancel.message_id == "m1"


async def test_there_is_nothing_to_cancel(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    await writer.answer(session_id, "m1", ["done"])
    async with Client(gateway.url, session_id) as client:
        await client.send({"type": "cancel"})
        error = await client.got(lambda f: f["type"] == "error")
        assert error["code"] == "nothing_to_cancel"


async def test_one_id_sent_ten_times_over_two_gateways_is_one_record(
    gateway: Gateway, second_gateway: Gateway, servers: RunningStack, session_id: str
) -> None:
    async with AsyncExitStack() as open_ones:
        clients = [
            await open_ones.enter_async_context(Client(open_at.url, session_id))
            for open_at in (gateway, second_gateway) * 5
        ]
        await asyncio.gather(*(client.joined() for client in clients))
        await asyncio.gather(*(client.send(ask("m1")) for client in clients))
        accepted = [await c.got(lambda f: f.get("state") == "accepted") for c in clients]
    assert sorted(frame["duplicate"] for frame in accepted) == [False] + [True] * 9
    assert len(await published(servers.file.kafka, session_id)) == 1


async def test_one_id_with_other_content_is_refused(gateway: Gateway, session_id: str) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.send(ask("m1", "one"))
        await client.send(ask("m1", "two"))
        error = await client.got(lambda f: f["type"] == "error")
        assert (error["code"], error["message_id"]) == ("message_id_reused", "m1")


async def test_the_twenty_first_message_of_a_minute_is_refused(
    gateway: Gateway, servers: RunningStack, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        for number in range(21):
            await client.send(ask(f"m{number}"))
        error = await client.got(lambda f: f["type"] == "error")
        assert (error["code"], error["retryable"]) == ("rate_limited", True)
        assert 0 < error["retry_after_ms"] <= 60_000
        # The same id again is no new message.
        await client.send(ask("m0"))
        again = await client.got(lambda f: f.get("message_id") == "m0", 2)
        assert (again["state"], again["duplicate"]) == ("accepted", True)
    assert len(await published(servers.file.kafka, session_id)) == 20


async def test_on_busy_is_passed_on(
    gateway: Gateway, servers: RunningStack, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.send({**ask("m1"), "on_busy": "interrupt"})
        await client.got(lambda f: f.get("state") == "accepted")
        (message,) = await published(servers.file.kafka, session_id)
        assert isinstance(message, UserMessage)
        assert message.on_busy == "interrupt"


@pytest.mark.parametrize("how", ["nobody listens", "does not answer"])
async def test_without_redis_a_message_is_accepted_all_the_same(
    servers: RunningStack, session_id: str, how: str
) -> None:
    log = servers.state / f"{uuid4().hex}.log"
    variables = {"TALKLOG_REDIS_URL": "redis://127.0.0.1:1/0"} if how == "nobody listens" else {}
    with running_gateway(servers, log, **variables) as lonely:
        if not variables:
            servers.hold("redis")
        try:
            async with Client(lonely.url, session_id) as client:
                await client.send(ask("m1"))
                await client.send(ask("m1"))
                await client.got(lambda f: f.get("state") == "accepted", 2)
        finally:
            servers.let_go("redis")
    assert len(await published(servers.file.kafka, session_id)) == 2


async def test_a_broker_that_does_not_answer_makes_the_outcome_unknown_not_failed(
    servers: RunningStack, session_id: str
) -> None:
    log = servers.state / f"{uuid4().hex}.log"
    with running_gateway(servers, log) as gateway:
        async with Client(gateway.url, session_id) as client:
            await client.joined()
            await client.send(ask("m0"))
            await client.got(lambda f: f.get("state") == "accepted")
            servers.hold("kafka")
            try:
                await client.send(ask("m1"))
                error = await client.got(lambda f: f["type"] == "error")
                assert (error["code"], error["message_id"]) == ("outcome_unknown", "m1")
                assert error["retryable"] is True
            finally:
                servers.let_go("kafka")
            # The producer was replaced: its sequence number was spent.
            for number in range(2, 12):
                await client.send(ask("m1"))
                answered = await client.got(lambda f: f.get("message_id") == "m1", number)
                if answered.get("state") == "accepted":
                    break
            assert answered.get("state") == "accepted"
    messages = await published(servers.file.kafka, session_id)
    assert messages[0].message_id == "m0"
    assert {m.message_id for m in messages} == {"m0", "m1"}


async def test_a_claim_of_an_earlier_epoch_is_no_duplicate(
    gateway: Gateway, servers: RunningStack, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.send(ask("m1"))
        await client.got(lambda f: f.get("state") == "accepted")
    log = servers.state / f"{uuid4().hex}.log"
    # The topics were made anew: the message that was accepted is in no log.
    with running_gateway(servers, log, TALKLOG_EPOCH=str(servers.epoch + 1)) as anew:
        async with Client(anew.url, session_id) as client:
            await client.send(ask("m1"))
            accepted = await client.got(lambda f: f.get("state") == "accepted")
            assert accepted["duplicate"] is False
