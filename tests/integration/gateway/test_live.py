"""Messages go in, answers come out, the same on every socket of the session."""

import asyncio

from schemas.events import UserMessage
from tests.integration.gateway.client import Client
from tests.integration.gateway.process import Gateway
from tests.integration.gateway.writer import (
    Writer,
    chunks,
    complete,
    published,
    start,
)
from tests.stack import RunningStack


async def test_a_message_is_accepted_only_when_it_is_in_the_log(
    gateway: Gateway, servers: RunningStack, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.joined()
        await client.send({"type": "user_message", "content": "Hello", "message_id": "m1"})
        accepted = await client.got(lambda f: f.get("state") == "accepted")
        assert (accepted["message_id"], accepted["duplicate"]) == ("m1", False)
        (message,) = await published(servers.file.kafka, session_id)
        assert isinstance(message, UserMessage)
        assert (message.content, message.message_id) == ("Hello", "m1")


async def test_the_three_line_client_of_the_protocol_is_given_an_id(
    gateway: Gateway, servers: RunningStack, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.send({"type": "user_message", "content": "Hello"})
        accepted = await client.got(lambda f: f.get("state") == "accepted")
        (message,) = await published(servers.file.kafka, session_id)
        assert message.message_id == accepted["message_id"]


async def test_messages_of_one_connection_are_published_in_order(
    gateway: Gateway, servers: RunningStack, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        for number in range(15):
            await client.send({"type": "user_message", "content": f"{number}"})
        await client.got(lambda f: f.get("state") == "accepted", 15)
    messages = await published(servers.file.kafka, session_id)
    assert [m.content for m in messages if isinstance(m, UserMessage)] == [
        str(number) for number in range(15)
    ]


async def test_an_answer_reaches_every_socket_of_the_session_on_every_gateway(
    gateway: Gateway, second_gateway: Gateway, writer: Writer, session_id: str
) -> None:
    async with (
        Client(gateway.url, session_id) as one,
        Client(gateway.url, session_id) as two,
        Client(second_gateway.url, session_id) as other,
    ):
        clients = [await client.joined() for client in (one, two, other)]
        pieces = [f"piece {number} " for number in range(40)]
        await writer.put(start(session_id, "m1"))
        for event in chunks(session_id, "m1", pieces):
            await writer.put(event)
        await writer.put(complete(session_id, "m1", len(pieces)))
        for client in clients:
            await client.got(lambda f: f["type"] == "ai_response_complete")
            assert client.text() == "".join(pieces)
            frames = client.log_frames()
            offsets = [int(frame["cursor"].split(".")[2]) for frame in frames]
            assert offsets == sorted(set(offsets))
            assert all(f["session_id"] == session_id and f["created_at"] for f in frames)


async def test_a_frame_is_the_record_with_its_cursor(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.joined()
        offset = await writer.put(start(session_id, "m1"))
        frame = await client.got(lambda f: f.get("state") == "generating")
    assert frame == {
        "cursor": writer.cursor(session_id, offset),
        "type": "status",
        "session_id": session_id,
        "message_id": "m1",
        "created_at": "2026-01-01T00:00:00.000Z",
        "state": "generating",
        "attempt": "a1",
        "fence": [1, 1, 0],
        "prompt": {"content": "prompt of m1", "created_at": "2026-01-01T00:00:00.000Z"},
        "model": "m",
        "worker": "w",
    }


async def test_a_record_that_is_no_event_is_passed_over(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.joined()
        await writer.put_raw(session_id, b"garbage", b"[]", b'{"type":"error"}', b'{"type":"new"}')
        await writer.put(start(session_id, "m1"))
        await client.got(lambda f: f.get("state") == "generating")
        assert [f["type"] for f in client.log_frames()] == ["status"]


async def test_sessions_of_one_shard_are_strangers(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    async with (
        Client(gateway.url, session_id) as mine,
        Client(gateway.url, session_id + "-other") as other,
    ):
        await asyncio.gather(mine.joined(), other.joined())
        await writer.answer(session_id, "m1", ["secret"])
        await writer.answer(session_id + "-other", "m1", ["public"])
        await other.got(lambda f: f["type"] == "ai_response_complete")
        await mine.got(lambda f: f["type"] == "ai_response_complete")
        assert (mine.text(), other.text()) == ("secret", "public")


async def test_ping_is_answered_with_its_nonce(gateway: Gateway, session_id: str) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.send({"type": "ping", "nonce": "n-1"})
        assert (await client.got(lambda f: f["type"] == "pong"))["nonce"] == "n-1"
