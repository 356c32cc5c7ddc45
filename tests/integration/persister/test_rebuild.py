"""`talklog rebuild` on real servers: the same, repaired, or refused."""

import asyncio
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from schemas.topics import SESSION_LOG
from tests.integration.persister.conftest import Database, Log, Persisters, wait_for
from tests.integration.persister.test_persister import Load, session
from tests.stack import RunningStack, running_stack
from tests.trim import trim
from tests.written import Say

pytestmark = pytest.mark.stack


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A log of each test's own: a rebuild needs all of it, and one of them trims it."""
    with running_stack(tmp_path_factory.mktemp("rebuilt"), servers_only=True) as stack:
        yield stack


def rebuild(persisters: Persisters, *options: str) -> "subprocess.CompletedProcess[str]":
    return persisters.talklog("rebuild", *options)


def forged(database: Database, load: Load) -> None:
    """Three kinds of wrong rows."""
    session_id = load.says[0].session_id
    database.rows(
        "UPDATE streaming_messages SET content = 'forged' "
        "WHERE session_id = %s AND chunk_sequence = (SELECT max(chunk_sequence) "
        "FROM streaming_messages WHERE session_id = %s)",
        session_id,
        session_id,
    )
    database.rows("DELETE FROM answers WHERE session_id = %s", load.says[1].session_id)
    database.rows("UPDATE user_messages SET content = 'x' WHERE session_id = %s", session_id)


async def test_what_others_have_hung_on_the_tables_is_not_dropped_in_silence(
    servers: RunningStack, database: Database, persisters: Persisters, log: Log
) -> None:
    load = Load("hung", sessions=3)
    process = persisters.start()
    await load.write(log)
    await wait_for(lambda: load.all_ended(database))
    foreign = {
        "view theirs": "CREATE VIEW theirs AS SELECT session_id FROM answers",
        "materialized view kept": "CREATE MATERIALIZED VIEW kept AS SELECT 1 FROM conversation",
        "index their_index on answers": "CREATE INDEX their_index ON answers (model)",
        "publication p of user_messages": "CREATE PUBLICATION p FOR TABLE user_messages",
        "trigger told on answers": "CREATE TRIGGER told BEFORE UPDATE ON answers FOR EACH ROW "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "foreign key their_key of their_notes": "CREATE TABLE their_notes (s TEXT, m TEXT, "
        "CONSTRAINT their_key FOREIGN KEY (s, m) REFERENCES answers)",
    }
    for statement in foreign.values():
        database.rows(statement)
    process.terminate()
    process.wait()
    forged(database, load)
    refused = await asyncio.to_thread(rebuild, persisters)
    assert refused.returncode == 1
    for what in foreign:
        assert what in refused.stderr
    assert len(refused.stderr.splitlines()) == len(foreign) + 3
    assert database.value("SELECT count(*) FROM theirs") == 2
    compared = await asyncio.to_thread(rebuild, persisters, "--compare")
    assert "the tables differ; left as they are" in compared.stdout
    done = await asyncio.to_thread(rebuild, persisters, "--drop-foreign")
    assert (done.returncode, done.stderr) == (0, "")
    load.check(database)
    assert database.value("SELECT to_regclass('theirs')") is None


async def test_a_rebuild_finds_the_same_repairs_what_differs_and_refuses_a_trimmed_log(
    servers: RunningStack, database: Database, persisters: Persisters, log: Log
) -> None:
    load = Load("rebuilt")
    persisters.start()
    await load.write(log)
    await wait_for(lambda: load.all_ended(database))
    database.rows("CREATE ROLE reader")
    database.rows("GRANT SELECT ON streaming_messages, conversation TO reader")

    same = await asyncio.to_thread(rebuild, persisters)
    assert (same.returncode, same.stderr) == (0, "")
    assert "the tables are what the log says" in same.stdout

    forged(database, load)
    compared = await asyncio.to_thread(rebuild, persisters, "--compare")
    assert compared.returncode == 1
    assert "streaming_messages: 1 rows only in the table" in compared.stdout
    assert "answers: 1 rows only in the log" in compared.stdout
    assert "user_messages: 1 rows only in the table" in compared.stdout
    assert "forged" in database.text(load.says[0].session_id)

    more = Load("meanwhile")
    writing = asyncio.create_task(more.write(log))
    repaired = await asyncio.to_thread(rebuild, persisters)
    assert repaired.returncode == 0, repaired.stderr
    assert "the new ones are in use" in repaired.stdout
    load.check(database)
    # The persister goes on in the new tables, and so does who may read them.
    await writing
    await wait_for(lambda: more.all_ended(database))
    more.check(database)
    with psycopg.connect(database.dsn) as connection:
        connection.execute("SET ROLE reader")
        connection.execute("SELECT c.content FROM streaming_messages s, conversation c LIMIT 1")
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'talklog%%'"
    assert database.value(schemas) == 0
    assert (await asyncio.to_thread(rebuild, persisters)).returncode == 0

    await trim(servers.file.kafka, SESSION_LOG, 0, before=1)
    refused = await asyncio.to_thread(rebuild, persisters)
    assert refused.returncode == 1
    assert "no longer holds what lies before offset 1" in refused.stderr
    load.check(database)


async def test_who_cancelled_is_stored_held_to_the_log_and_rebuilt(
    database: Database, persisters: Persisters, log: Log
) -> None:
    says = [Say(f"{session('cancelled')}-{n}", "m1") for n in range(3)]
    stopped, _, of_before = says
    persisters.start()
    for say in says:
        end = [say.generating("a1"), say.complete("a1", 0, "cancelled")]
        await log.append([say.said(), say.cancel("eve"), say.cancel("bob"), *end])

    def told() -> list[object]:
        rows = database.rows("SELECT cancelled_by, cancelled_at, finish_reason FROM conversation")
        return [(row["cancelled_by"], row["finish_reason"]) for row in rows if row["cancelled_at"]]

    await wait_for(lambda: told() == [("eve", "cancelled")] * 3)
    persisters.end()
    # So a persister of before the columns has left it.
    nobody = "UPDATE user_messages SET cancelled_by = NULL, cancelled_at = NULL"
    database.rows(nobody + " WHERE session_id = %s", of_before.session_id)
    clean = await asyncio.to_thread(persisters.talklog, "verify")
    assert (clean.returncode, clean.stderr) == (0, ""), clean.stdout
    assert "1 cancels of which the rows do not say by whom" in clean.stdout
    forged = "UPDATE user_messages SET cancelled_by = 'bob' WHERE session_id = %s"
    database.rows(forged, stopped.session_id)
    found = await asyncio.to_thread(persisters.talklog, "verify")
    assert found.returncode == 1
    assert "user_messages: another cancelled_by" in found.stdout
    rebuilt = await asyncio.to_thread(rebuild, persisters)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "user_messages: 2 rows only in the table" in rebuilt.stdout
    assert told() == [("eve", "cancelled")] * 3
