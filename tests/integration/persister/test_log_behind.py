"""When the log is not what it was: trimmed, made anew, or older than the rows."""

import pytest

from schemas.topics import SESSION_LOG, shard_of
from tests.integration.persister.conftest import SHARDS, Database, Log, Persisters, wait_for
from tests.integration.persister.test_persister import session, stop
from tests.stack import RunningStack
from tests.trim import trim
from tests.waiting import WITHIN_S
from tests.written import Say

pytestmark = pytest.mark.stack


async def test_what_the_log_lost_is_recorded_and_the_cut_answer_damaged(
    database: Database, persisters: Persisters, log: Log, servers: RunningStack
) -> None:
    say = Say(session("trimmed"), "m1")
    shard, key = shard_of(say.session_id, SHARDS), say.session_id.encode()
    await log.append([say.generating("a1"), say.chunk("a1", 1, "a")])
    first = persisters.start()
    await wait_for(lambda: database.text(say.session_id) == "a")
    stop(first)
    await log.append([say.chunk("a1", 2, "b")])
    start = await log.append_raw(SESSION_LOG, shard, key, b'{"type": "later"}')
    await trim(servers.file.kafka, SESSION_LOG, shard, before=start)
    await log.append([say.chunk("a1", 3, "c"), say.complete("a1", 3)])

    persisters.start()
    await wait_for(lambda: database.ended(say.session_id) == 1)
    [gap] = database.rows("SELECT topic, shard, from_offset, to_offset FROM log_gaps")
    assert gap == {
        "topic": SESSION_LOG,
        "shard": shard,
        "from_offset": start - 1,
        "to_offset": start,
    }
    assert database.text(say.session_id) == "ac"
    assert database.value("SELECT damaged FROM answers WHERE session_id = %s", say.session_id)


async def test_an_answer_of_which_the_log_holds_nothing_is_lost(
    database: Database,
    persisters: Persisters,
    log: Log,
    servers: RunningStack,
) -> None:
    """Made in an earlier epoch: the rows are there, the topics are new."""
    gone, asked_again = Say(session("gone"), "m1"), Say(session("again"), "m1")
    await log.append([gone.said(), gone.generating("a1"), gone.chunk("a1", 1, "a")])
    await log.append([asked_again.said(), asked_again.queued()])
    first = persisters.start()
    await wait_for(lambda: database.text(gone.session_id) == "a")
    await wait_for(lambda: database.value("SELECT count(*) FROM answers") >= 2)
    stop(first)
    for say in (gone, asked_again):
        for topic in ("user_messages", SESSION_LOG):
            await trim(servers.file.kafka, topic, shard_of(say.session_id, SHARDS))
    await log.append([asked_again.said()])

    persisters.start(epoch=servers.epoch + 1)
    await wait_for(lambda: database.ended(gone.session_id) == 1)
    [row] = database.rows("SELECT * FROM conversation WHERE session_id = %s", gone.session_id)
    assert (row["state"], row["error_code"], row["content"]) == ("error", "lost", "a")
    assert database.ended(asked_again.session_id) == 0


async def test_settings_of_an_epoch_that_is_over_are_refused(
    database: Database, persisters: Persisters, servers: RunningStack
) -> None:
    first = persisters.start(epoch=servers.epoch + 5)
    await wait_for(lambda: "writing" in persisters.written())
    stop(first)
    assert persisters.start().wait(WITHIN_S) == 2
    assert "epoch behind" in persisters.written()


async def test_tables_that_are_not_there_yet_are_waited_for(
    database: Database, persisters: Persisters, log: Log
) -> None:
    database.rows("ALTER TABLE kafka_offsets RENAME TO not_yet")
    say = Say(session("early"), "m1")
    await log.append(say.answer(["a"]))
    persisters.start()
    await wait_for(lambda: "UndefinedTable" in persisters.written())
    database.rows("ALTER TABLE not_yet RENAME TO kafka_offsets")
    await wait_for(lambda: database.text(say.session_id) == "a")
