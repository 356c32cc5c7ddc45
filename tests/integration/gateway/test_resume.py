"""A client comes back with its cursor: exactly what came after it, or a snapshot, never a hole."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from schemas.topics import SESSION_LOG, shard_of
from tests.integration.gateway.client import Client
from tests.integration.gateway.process import Gateway, running_gateway
from tests.integration.gateway.writer import SHARDS, Writer, chunks, complete, start
from tests.stack import RunningStack

PIECES = [f"{number}," for number in range(60)]


def connected(client: Client) -> bool | None:
    (frame,) = [f for f in client.frames if f.get("state") == "connected"]
    recovered: bool | None = frame["recovered"]
    return recovered


async def test_a_resume_from_every_place_of_an_answer_gives_the_rest_of_it_once(
    gateway: Gateway, second_gateway: Gateway, writer: Writer, session_id: str
) -> None:
    first = await writer.put(start(session_id, "m1"))
    for event in chunks(session_id, "m1", PIECES):
        last = await writer.put(event)
    await writer.put(complete(session_id, "m1", len(PIECES)))
    assert last - first >= len(PIECES)
    async with Client(gateway.url, session_id, f"?cursor={writer.cursor(session_id, first)}") as c:
        await c.got(lambda f: f["type"] == "ai_response_complete")
        assert connected(c) is True
        assert c.text() == "".join(PIECES)
        frames = len(c.of_type("ai_response_chunk"))
        assert frames == 1
    for number, url in ((1, gateway.url), (30, second_gateway.url), (60, gateway.url)):
        cursor = writer.cursor(session_id, first + number)
        async with Client(url, session_id, f"?cursor={cursor}") as client:
            await client.got(lambda f: f["type"] == "ai_response_complete")
            assert connected(client) is True
            assert client.of_type("snapshot") == []
            assert client.text() == "".join(PIECES[number:])


async def test_a_resume_in_a_running_answer_goes_on_live(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    first = await writer.put(start(session_id, "m1"))
    await writer.put(*chunks(session_id, "m1", PIECES[:20]))
    cursor = writer.cursor(session_id, first)
    async with Client(gateway.url, session_id, f"?cursor={cursor}") as client:
        await client.got(lambda f: f["type"] == "ai_response_chunk")
        for event in chunks(session_id, "m1", PIECES[20:], first=21):
            await writer.put(event)
        await writer.put(complete(session_id, "m1", len(PIECES)))
        await client.got(lambda f: f["type"] == "ai_response_complete")
        assert client.text() == "".join(PIECES)


async def test_a_cursor_at_the_logs_end_is_recovered_with_nothing(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    last = await writer.answer(session_id, "m1", ["a"])
    cursor = writer.cursor(session_id, last)
    async with Client(gateway.url, session_id, f"?cursor={cursor}") as client:
        await client.joined()
        assert connected(client) is True
        assert client.log_frames() == []


@pytest.mark.parametrize("form", ["{epoch}.{other}.{last}", "{old}.{shard}.{last}", "x", "1.2", ""])
async def test_a_foreign_cursor_is_never_guessed_at(
    gateway: Gateway, writer: Writer, servers: RunningStack, session_id: str, form: str
) -> None:
    last = await writer.answer(session_id, "m1", ["a"])
    shard = shard_of(session_id, SHARDS)
    cursor = form.format(
        epoch=servers.epoch,
        old=servers.epoch - 1,
        shard=shard,
        other=(shard + 1) % SHARDS,
        last=last,
    )
    async with Client(gateway.url, session_id, f"?cursor={cursor or '0.0.0'}") as client:
        await client.joined()
        assert connected(client) is False
        assert client.of_type("snapshot")


async def test_a_cursor_past_the_end_is_not_believed(
    gateway: Gateway, writer: Writer, session_id: str
) -> None:
    last = await writer.answer(session_id, "m1", ["a"])
    cursor = writer.cursor(session_id, last + 1)
    async with Client(gateway.url, session_id, f"?cursor={cursor}") as client:
        await client.joined()
        assert connected(client) is False


async def test_what_memory_no_longer_holds_is_read_from_the_log(
    gateway: Gateway, writer: Writer, servers: RunningStack, session_id: str
) -> None:
    # Written before this gateway starts: its shard log begins after it.
    first = await writer.put(start(session_id, "m1"))
    await writer.put(*chunks(session_id, "m1", PIECES), complete(session_id, "m1", len(PIECES)))
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log") as fresh:
        cursor = writer.cursor(session_id, first)
        clients = [Client(fresh.url, session_id, f"?cursor={cursor}") for _ in range(9)]
        await asyncio.gather(*(client.__aenter__() for client in clients))
        for client in clients:
            await client.got(lambda f: f["type"] == "ai_response_complete")
            assert connected(client) is True
            assert client.text() == "".join(PIECES)
        await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))
        assert fresh.metric("scans") <= 2


async def test_a_hundred_clients_that_resume_cost_a_scan_or_two_a_shard(
    writer: Writer, servers: RunningStack
) -> None:
    sessions = [f"crowd-{uuid4().hex[:8]}" for _ in range(100)]
    firsts = {}
    for session in sessions:
        firsts[session] = await writer.put(start(session, "m1"))
        await writer.put(*chunks(session, "m1", PIECES[:5]), complete(session, "m1", 5))
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log") as fresh:
        clients = [
            Client(fresh.url, session, f"?cursor={writer.cursor(session, firsts[session])}")
            for session in sessions
        ]
        await asyncio.gather(*(client.__aenter__() for client in clients))
        for client in clients:
            await client.got(lambda f: f["type"] == "ai_response_complete")
            assert connected(client) is True
            assert client.text() == "".join(PIECES[:5])
        await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))
        assert fresh.metric("scans") <= 2 * SHARDS


async def test_what_the_log_no_longer_holds_is_not_recovered(
    writer: Writer, servers: RunningStack
) -> None:
    session = f"trimmed-{uuid4().hex[:8]}"
    first = await writer.put(start(session, "m1"))
    last = await writer.put(*chunks(session, "m1", PIECES), complete(session, "m1", len(PIECES)))
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.file.kafka)
    await admin.start()
    try:
        partition = TopicPartition(SESSION_LOG, shard_of(session, SHARDS))
        await admin.delete_records({partition: RecordsToDelete(before_offset=last)})
    finally:
        await admin.close()
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log") as fresh:
        cursor = writer.cursor(session, first)
        async with Client(fresh.url, session, f"?cursor={cursor}") as client:
            await client.joined()
            assert connected(client) is False
