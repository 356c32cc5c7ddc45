"""Conversations read from a real Postgres: a fold can go on from them; nothing waits for ever."""

import asyncio
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from ulid import ULID

from schemas.events import Prompt
from schemas.topics import SESSION_LOG
from schemas.transcript import Place
from tests.stack import RunningStack
from tests.waiting import once_within
from workers.history.prompt import Turn
from workers.history.stored_conversation import (
    CONNECTIONS_MAX,
    StoredConversations,
    StoredState,
)
from workers.history.turns import turns_of

MUCH_TOO_LONG_S = 15.0
EPOCH = 7
SHARD = 1_000  # none of the stack's own
AT = "2026-01-01T00:00:00+00:00"


@pytest.fixture
async def stored(servers: RunningStack) -> AsyncIterator[StoredConversations]:
    stored = StoredConversations(servers.file.postgres, budget_tokens=50)
    await stored.open()
    yield stored
    await stored.close()


@pytest.fixture
async def rows(servers: RunningStack) -> AsyncIterator["Rows"]:
    connection = await psycopg.AsyncConnection.connect(servers.file.postgres, autocommit=True)
    async with connection:
        await connection.execute("DELETE FROM kafka_offsets WHERE shard = %s", (SHARD,))
        yield Rows(connection)


class Rows:
    """One session's rows, as the persister writes them."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self.session = str(ULID())
        self._connection = connection
        self._sequence = 0

    async def message(
        self, number: int, pieces: list[str], *, state: str = "complete", epoch: int = EPOCH
    ) -> None:
        await self._connection.execute(
            "INSERT INTO user_messages (session_id, message_id, content, created_at, shard)"
            " VALUES (%s, %s, %s, %s, %s)",
            (self.session, f"m{number}", f"ask {number}", AT, SHARD),
        )
        first = self._sequence + 1
        for sequence, piece in enumerate(pieces, 1):
            self._sequence += 1
            await self._connection.execute(
                "INSERT INTO streaming_messages (session_id, chunk_sequence, content, message_id,"
                " attempt, sequence) VALUES (%s, %s, %s, %s, 'a1', %s)",
                (self.session, self._sequence, piece, f"m{number}", sequence),
            )
        await self._connection.execute(
            "INSERT INTO answers (session_id, message_id, state, attempt, fence, released, starts,"
            " unended_starts, last_sequence, first_chunk_sequence, next_chunk_sequence, damaged,"
            " finish_reason, ended_at, shard, first_epoch, first_offset, epoch, last_offset,"
            " seen_epoch, seen_offset) VALUES (%s, %s, %s, 'a1', '{7,1,1}', false, 1, 1, %s, %s,"
            " %s, false, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                self.session, f"m{number}", state, len(pieces), first if pieces else None,
                self._sequence + 1, "stop" if state == "complete" else None, AT, SHARD,
                epoch, number * 10, epoch, number * 10 + 5, epoch, number * 10 + 5,
            ),
        )  # fmt: skip

    async def cut(self, application: str) -> int:
        """End the connections that have this name; says how many there were."""
        cut = await self._connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = %s",
            (application,),
        )
        return len(await cut.fetchall())

    async def position(self, next_offset: int, *, epoch: int = EPOCH) -> None:
        await self._connection.execute(
            "INSERT INTO kafka_offsets VALUES (%s, %s, %s, %s)",
            (SESSION_LOG, SHARD, epoch, next_offset),
        )


async def test_the_fold_of_each_message_and_the_position(
    stored: StoredConversations, rows: Rows
) -> None:
    await rows.message(2, [" so", " far"], state="generating")
    await rows.message(1, ["sa", "id"])
    await rows.position(99)
    conversation = await stored.read(rows.session, shard=SHARD, epoch=EPOCH)
    assert conversation is not None
    assert conversation.next_offset == 99
    first, second = conversation.transcript.messages.values()
    assert (first.message_id, first.text, first.terminal) == ("m1", "said", True)
    assert (second.message_id, second.text, second.attempt) == ("m2", " so far", "a1")
    assert second.fence == (7, 1, 1)
    assert second.prompt == Prompt(content="ask 2", created_at="2026-01-01T00:00:00.000Z")
    assert first.last == Place(EPOCH, 15)
    assert turns_of(first, epoch=EPOCH) == [
        Turn("user", "ask 1", "m1", 15, EPOCH),
        Turn("assistant", "said", "m1", 15, EPOCH),
    ]


async def test_a_session_that_is_not_known(stored: StoredConversations, rows: Rows) -> None:
    await rows.position(3)
    conversation = await stored.read(rows.session, shard=SHARD, epoch=EPOCH)
    assert conversation is not None
    assert (conversation.transcript.messages, conversation.next_offset) == ({}, 3)


async def test_a_position_of_another_epoch_is_none(stored: StoredConversations, rows: Rows) -> None:
    await rows.position(3, epoch=EPOCH - 1)
    conversation = await stored.read(rows.session, shard=SHARD, epoch=EPOCH)
    assert conversation is not None
    assert conversation.next_offset is None


async def test_old_messages_are_known_without_their_text(
    stored: StoredConversations, rows: Rows
) -> None:
    await rows.message(1, ["open"], state="generating")
    for number in range(2, 12):
        await rows.message(number, ["said"])
    conversation = await stored.read(rows.session, shard=SHARD, epoch=EPOCH)
    assert conversation is not None
    texts = [message.text for message in conversation.transcript.messages.values()]
    # The budget is 50 tokens, and no message takes less than ten.
    assert texts == ["open", *[""] * 4, *["said"] * 6]
    assert all(message.attempt for message in conversation.transcript.messages.values())


async def test_whether_a_message_has_ended(stored: StoredConversations, rows: Rows) -> None:
    await rows.message(1, ["said"])
    await rows.message(2, ["so far"], state="generating")
    await rows.position(44)

    async def look_up(message_id: str) -> StoredState | None:
        return await stored.look_up(rows.session, message_id, shard=SHARD, epoch=EPOCH)

    had = ["m1", "m2"]
    assert await look_up("m1") == StoredState(ended=True, next_offset=44, message_ids=had)
    assert await look_up("m2") == StoredState(ended=False, next_offset=44, message_ids=had)
    assert await look_up("m3") == StoredState(ended=False, next_offset=44, message_ids=had)


async def test_a_server_that_was_started_again_is_no_server_that_is_away(
    servers: RunningStack, rows: Rows
) -> None:
    await rows.message(1, ["said"])
    name = f"test {rows.session}"
    dsn = make_conninfo(servers.file.postgres, application_name=name)
    stored = StoredConversations(dsn, budget_tokens=50)
    await stored.open()

    async def look_up() -> StoredState | None:
        return await stored.look_up(rows.session, "m1", shard=SHARD, epoch=EPOCH)

    try:
        known = await asyncio.gather(*(look_up() for _ in range(20 * CONNECTIONS_MAX)))
        assert await rows.cut(name) == CONNECTIONS_MAX
        known += await asyncio.gather(*(look_up() for _ in range(CONNECTIONS_MAX)))
    finally:
        await stored.close()
    assert known == [StoredState(True, None, ["m1"])] * len(known)


async def test_nobody_listens() -> None:
    stored = StoredConversations(
        "postgresql://nobody@127.0.0.1:1/none", budget_tokens=50, read_limit_s=0.5
    )
    await stored.open()

    async def asked_s() -> float:
        began = time.monotonic()
        assert await stored.read("s", shard=0, epoch=EPOCH) is None
        assert await stored.look_up("s", "m1", shard=0, epoch=EPOCH) is None
        return time.monotonic() - began

    await once_within(1.5, asked_s)
    await stored.close()


async def test_a_postgres_that_stands_still_is_not_waited_for(
    servers: RunningStack, stored: StoredConversations, rows: Rows
) -> None:
    await rows.message(1, ["said"])
    assert await stored.read(rows.session, shard=SHARD, epoch=EPOCH) is not None
    servers.hold("postgres")
    try:
        took_s = []
        for _ in range(6):
            began = time.monotonic()
            assert await stored.read(rows.session, shard=SHARD, epoch=EPOCH) is None
            took_s.append(time.monotonic() - began)
        assert min(took_s) < 2.5
        assert max(took_s) < MUCH_TOO_LONG_S
    finally:
        servers.let_go("postgres")
    deadline = time.monotonic() + 60
    while await stored.read(rows.session, shard=SHARD, epoch=EPOCH) is None:
        assert time.monotonic() < deadline
