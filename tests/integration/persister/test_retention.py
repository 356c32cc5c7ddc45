"""Old rows leave as whole messages, never before their records, and never in anybody's way."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from deploy.operators.rebuild.shadow_tables import ShadowTables
from deploy.operators.verify.stored_rows import StoredRows
from persister.batch import Partition
from persister.old_rows import FIRST, LOCK, Old, OldRows, Starts
from persister.rows import RowFold
from persister.store import Move, Store
from persister.timeouts import TIMEOUTS
from schemas.events import SessionEvent
from schemas.topics import SESSION_LOG, USER_MESSAGES, shard_of
from tests.integration.persister.conftest import SHARDS, Database, Log, Persisters, wait_for
from tests.integration.persister.old_messages import ANSWERED, ASKED, EPOCH, NOW, Stored, many
from tests.integration.persister.test_persister import session, stop
from tests.stack import RunningStack
from tests.trim import trim
from tests.written import Say

pytestmark = pytest.mark.stack

OLD = Old(NOW - timedelta(days=30), EPOCH, [Starts(0, ASKED, ANSWERED)])
TABLES = ("streaming_messages", "answers", "user_messages")
HELD_UP = 20
"""A writer that is held up waits for batches; one that is not still shares a disk with them."""


@pytest.fixture
async def rows(database: Database) -> AsyncIterator[OldRows]:
    made = await OldRows.connected(database.dsn, pooled=False)
    yield made
    await made.close()


async def all_removed(rows: OldRows, old: Old = OLD) -> dict[str, int]:
    total = dict.fromkeys(TABLES, 0)
    after = FIRST
    while (removed := await rows.remove(old, after)) is not None:
        total = {table: total[table] + removed.rows.get(table, 0) for table in TABLES}
        if removed.next is None:
            break
        after = removed.next
    return total


def kept(database: Database) -> set[str]:
    """Sessions that are in any of the tables, each in all that it was in."""
    found = [
        {row["session_id"] for row in database.rows(f"SELECT session_id FROM {table}")}
        for table in TABLES
    ]
    return set().union(*found)


LEAVES = [
    Stored("ended-long-ago"),
    Stored("failed-long-ago", state="error"),
    Stored("of-an-earlier-log", seen=(EPOCH - 1, 10**6), asked=(EPOCH - 1, 10**6)),
    Stored("of-an-earlier-log-with-more-shards", seen=(EPOCH - 1, 5), asked=None, shard=99),
    Stored("known-by-its-answer-alone", asked=None),
    Stored("never-answered", state=None),
    Stored("ended-before-it-began", pieces=[]),
]
STAYS = [
    Stored("ended-lately", ended_days=29),
    Stored("said-lately", said_days=29, ended_days=29),
    Stored("open", state="generating", ended_days=None),
    Stored("waits", state="queued", ended_days=None),
    Stored("its-end-is-in-the-log", seen=(EPOCH, ANSWERED)),
    Stored("its-beginning-is-in-the-log", asked=(EPOCH, ASKED)),
    Stored("never-answered-and-in-the-log", state=None, asked=(EPOCH, ASKED)),
    Stored("of-a-later-log", seen=(EPOCH + 1, 0), asked=(EPOCH + 1, 0)),
    Stored("of-a-shard-nobody-leads", shard=1),
]


async def test_what_leaves_and_what_stays(database: Database, rows: OldRows) -> None:
    for message in [*LEAVES, *STAYS]:
        message.put(database)
    assert await all_removed(rows) == {
        "streaming_messages": sum(len(each.pieces) for each in LEAVES if each.state),
        "answers": sum(each.state is not None for each in LEAVES),
        "user_messages": len(LEAVES),
    }
    assert kept(database) == {message.session_id for message in STAYS}
    for message in STAYS:
        stays = 0 if message.state is None else len(message.pieces)
        count = "SELECT count(*) FROM streaming_messages WHERE session_id = %s"
        assert database.value(count, message.session_id) == stays
    noted = database.rows("SELECT epoch, messages FROM removed_rows ORDER BY epoch")
    assert [(row["epoch"], row["messages"]) for row in noted] == [(EPOCH - 1, 2), (EPOCH, 5)]
    assert await all_removed(rows) == dict.fromkeys(TABLES, 0)


async def test_a_long_session_loses_its_old_messages_and_counts_on(
    database: Database, rows: OldRows
) -> None:
    Stored("long", "m1").put(database)
    Stored("long", "m2", first=3, ended_days=10).put(database)
    Stored("long", "m3", first=5, state="generating", ended_days=None, said_days=35).put(database)
    assert (await all_removed(rows))["streaming_messages"] == 2
    store = Store(database.dsn, TIMEOUTS)
    _, highest, _ = await store.lookup([], ["long"])
    await store.close()
    assert highest == {"long": 7}
    assert database.text("long") == "abab"


async def test_one_process_at_a_time(database: Database, rows: OldRows) -> None:
    Stored("old").put(database)
    with psycopg.connect(database.dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        assert await rows.remove(OLD, FIRST) is None
    assert kept(database) == {"old"}
    assert (await all_removed(rows))["answers"] == 1


async def test_a_row_that_somebody_has_changed_meanwhile_is_left(
    database: Database, rows: OldRows
) -> None:
    """A late event names the message again: now the log holds a record of it."""
    Stored("named-again").put(database)
    with psycopg.connect(database.dsn) as other:
        other.execute("UPDATE answers SET seen_offset = %s", (ANSWERED + 5,))
        removing = asyncio.create_task(rows.remove(OLD, FIRST))
        # It waits for the row, or has given up by then.
        blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        await wait_for(lambda: removing.done() or database.value(blocked))
        other.commit()
    with pytest.raises(psycopg.Error):
        await removing
    assert (await all_removed(rows))["answers"] == 0
    assert database.text("named-again") == "ab"


async def test_a_writer_is_not_held_up_while_a_hundred_thousand_rows_leave(
    database: Database, rows: OldRows
) -> None:
    many(database, messages=2_000, pieces=50)
    store = Store(database.dsn, TIMEOUTS)
    partition = Partition(SESSION_LOG, 0)
    await store.begin(partition, EPOCH, 0)
    fold = RowFold(EPOCH, 10_000)
    at = 0

    async def save() -> float:
        nonlocal at
        say = Say(f"new-{at}", "m1", created_at=NOW.isoformat())
        fold.restore([(say.session_id, "m1")], [], {})
        answer: list[SessionEvent] = [
            say.generating("a1"),
            say.chunk("a1", 1, "a"),
            say.complete("a1", 1),
        ]
        changes = fold.fold([(0, at, event) for event in answer])
        began = time.monotonic()
        await store.save(changes, [Move(partition, EPOCH, at, at + 1)])
        at += 1
        return time.monotonic() - began

    alone = [await save() for _ in range(100)]
    removing = asyncio.create_task(all_removed(rows, Old(OLD.before, EPOCH + 1, [])))
    beside = []
    while not removing.done():
        beside.append(await save())
    await store.close()
    assert (await removing)["streaming_messages"] == 100_000
    assert len(beside) > 10
    assert statistics.median(beside) < HELD_UP * statistics.median(alone)
    assert database.value("SELECT count(*) FROM answers") == at


def whole(database: Database, epoch: int) -> int:
    """How many of the many are there; each must be there with all that it consists of.

    The log is everybody's: what others have said in it is in these tables, too.
    """
    many = "many-%"
    [found] = database.rows(
        "SELECT count(*) AS messages, count(a.message_id) AS answers,"
        " (SELECT count(*) FROM streaming_messages WHERE session_id LIKE %s) AS pieces,"
        " (SELECT COALESCE(sum(messages), 0) FROM removed_rows WHERE epoch = %s) AS removed"
        " FROM user_messages u FULL JOIN answers a USING (session_id, message_id)"
        " WHERE session_id LIKE %s",
        *(many, epoch, many),
    )
    assert found["answers"] == found["messages"]
    assert found["pieces"] == 50 * found["messages"]
    assert found["removed"] == 2_000 - found["messages"]
    return int(found["messages"])


async def test_killed_in_the_middle_no_message_is_half_there(
    database: Database, persisters: Persisters, servers: RunningStack
) -> None:
    many(database, messages=2_000, pieces=50, epoch=servers.epoch - 1)
    epoch = servers.epoch - 1
    kept_of = "SELECT count(*) FROM user_messages WHERE session_id LIKE %s"
    for left in (1_700, 1_000):
        process = persisters.start(keep_days=30, keep_look_every_s=0.1)
        await wait_for(lambda left=left: database.value(kept_of, "many-%") < left)  # type: ignore[misc]
        process.kill()
        process.wait()
        assert whole(database, epoch) < left
    persisters.start(keep_days=30, keep_look_every_s=0.1)
    persisters.start(keep_days=30, keep_look_every_s=0.1)
    await wait_for(lambda: whole(database, epoch) == 0)


async def test_without_the_setting_everything_stays(
    database: Database, persisters: Persisters, log: Log, servers: RunningStack
) -> None:
    many(database, messages=10, pieces=50, epoch=servers.epoch - 1)
    process = persisters.start()
    say = Say(session("kept"), "m1")
    await log.append([say.said(), *say.answer(["a"])])
    await wait_for(lambda: database.ended(say.session_id) == 1)
    assert stop(process) == 0
    old = "SELECT count(*) FROM answers WHERE session_id LIKE %s"
    assert database.value(old, "many-%") == 10


async def test_what_the_log_holds_stays_and_verify_finds_nothing_amiss(
    database: Database, persisters: Persisters, log: Log, servers: RunningStack
) -> None:
    first, second = Say(session("aged"), "m1"), Say("", "m2")
    second.session_id = first.session_id
    shard, key = shard_of(first.session_id, SHARDS), first.session_id.encode()
    await log.append([first.said(), *first.answer(["old"])])
    await log.append([second.said(), *second.answer(["new"])])
    beyond = await log.append_raw(SESSION_LOG, shard, key, b'{"type": "later"}')
    persisters.start(keep_days=30, keep_look_every_s=0.1)
    await wait_for(lambda: database.ended(first.session_id) == 2)
    # It is told at the start that rows will stay for longer: the topics keep records for 7 days.
    other = persisters.start(keep_days=3, keep_look_every_s=3600)
    await wait_for(lambda: "TALKLOG_KEEP_DAYS" in persisters.written())
    stop(other)

    asked = "SELECT log_offset FROM user_messages WHERE session_id = %s AND message_id = 'm2'"
    began = "SELECT first_offset FROM answers WHERE session_id = %s AND message_id = 'm2'"
    starts = {
        USER_MESSAGES: database.value(asked, first.session_id),
        SESSION_LOG: database.value(began, first.session_id),
    }
    assert database.text(first.session_id) == "oldnew"  # both are old, both are in the log
    for topic, start in starts.items():
        await trim(servers.file.kafka, topic, shard, before=start)
    await wait_for(lambda: database.text(first.session_id) == "new")
    verified = persisters.talklog("verify")
    assert first.session_id not in verified.stdout, verified.stdout
    refused = persisters.talklog("rebuild")
    assert (refused.returncode, "no longer holds" in refused.stderr) == (1, True)

    await trim(servers.file.kafka, SESSION_LOG, shard, before=beyond)
    await trim(servers.file.kafka, USER_MESSAGES, shard)
    await wait_for(lambda: database.ended(first.session_id) == 0)
    third = Say(first.session_id, "m3")
    await log.append([third.said(), *third.answer(["and on"])])
    await wait_for(lambda: database.text(first.session_id) == "and on")
    assert first.session_id not in persisters.talklog("verify").stdout


def test_a_rebuild_knows_of_messages_of_earlier_logs_that_have_left(database: Database) -> None:
    """Chunks of a session that went on are numbered after theirs, which no log says any more."""
    insert = "INSERT INTO removed_rows (epoch, messages, removed_at) VALUES (%s, 3, NOW())"
    database.rows(insert, EPOCH - 1)
    tables, stored = ShadowTables(database.dsn), StoredRows(database.dsn)
    try:
        assert tables.rows_of_older_epochs(EPOCH) == 3
        assert tables.rows_of_older_epochs(EPOCH - 1) == 0
        assert stored.removed_before(EPOCH)
        assert not stored.removed_before(EPOCH - 1)
        stored.let_go()
        tables.make()
        tables.hold_writers()
        tables.swap()
    finally:
        stored.close()
        tables.close()
    assert database.value("SELECT messages FROM removed_rows") == 3
