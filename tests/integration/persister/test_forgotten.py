"""A session that was forgotten, in real tables: all of it goes, and nothing comes back."""

import asyncio

import pytest

from persister.store import REMOVED_AT_ONCE
from schemas.events import encode
from schemas.topics import SESSION_LOG, USER_MESSAGES, shard_of
from tests.integration.persister.conftest import SHARDS, Database, Log, Persisters, wait_for
from tests.integration.persister.test_persister import session
from tests.written import Say

pytestmark = pytest.mark.stack

TABLES = ("user_messages", "answers", "streaming_messages")
SECRET, NEW = "secret", "new"


def count(database: Database, session_id: str) -> list[int]:
    return [
        database.value(f"SELECT count(*) FROM {table} WHERE session_id = %s", session_id)
        for table in TABLES
    ]


def dump(database: Database, session_id: str) -> list[list[dict[str, object]]]:
    tables = (*TABLES, "forgotten_sessions")
    found = [
        database.rows(f"SELECT * FROM {table} WHERE session_id = %s", session_id)
        for table in tables
    ]
    for row in found[2]:
        del row["id"]
    return found


async def said(log: Log, say: Say) -> int:
    """Write the message's own record, and give its offset."""
    key = say.session_id.encode()
    shard = shard_of(say.session_id, SHARDS)
    return await log.append_raw(USER_MESSAGES, shard, key, encode(say.said()))


async def test_a_long_session_goes_and_what_is_said_afterwards_stays(
    database: Database, persisters: Persisters, log: Log
) -> None:
    name = session("forgotten")
    process = persisters.start()
    old = Say(name, "m1", content=SECRET)
    old = Say(name, "m1", content=SECRET, prompt_offset=await said(log, old))
    await log.append(old.answer([SECRET, SECRET]))
    await wait_for(lambda: count(database, name) == [1, 1, 2])
    database.rows(
        "INSERT INTO streaming_messages "
        "(session_id, chunk_sequence, content, message_id, attempt, sequence) "
        "SELECT %s, number, 'secret', 'm1', 'a1', number FROM generate_series(10, %s) number",
        name,
        2 * REMOVED_AT_ONCE + 100,
    )
    new = Say(name, "m2", content=NEW)
    new = Say(name, "m2", content=NEW, prompt_offset=await said(log, new))
    assert new.prompt_offset is not None
    await log.append([old.forgotten(said_before=new.prompt_offset)])
    await log.append([old.chunk("a1", 3, SECRET), old.generating("a2", (9, 9, 9))])
    await log.append(new.answer([NEW], attempt="b1"))
    await wait_for(lambda: count(database, name) == [1, 1, 1])
    assert database.text(name) == NEW
    assert SECRET not in repr(dump(database, name))
    assert "a forgotten session is long" in persisters.written()

    # The log once more from its start: the event takes nothing of what was said since.
    before = dump(database, name)
    process.terminate()
    process.wait()
    shard = shard_of(name, SHARDS)
    end = database.value(
        "SELECT next_offset FROM kafka_offsets WHERE topic = %s AND shard = %s", SESSION_LOG, shard
    )
    database.rows("UPDATE kafka_offsets SET next_offset = 0 WHERE shard = %s", shard)
    persisters.start()
    at = "SELECT next_offset FROM kafka_offsets WHERE topic = %s AND shard = %s"
    await wait_for(lambda: database.value(at, SESSION_LOG, shard) >= end)
    assert dump(database, name) == before
    verified = await asyncio.to_thread(persisters.talklog, "verify")
    assert name not in verified.stdout, verified.stdout
