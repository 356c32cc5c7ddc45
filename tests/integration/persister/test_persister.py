"""The persister on real servers: exactly once, whatever dies, stops or wakes up."""

import asyncio
import random
import signal
import subprocess
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest

from deploy.local.ports import free_run
from schemas.events import Event
from schemas.topics import SESSION_LOG, shard_of
from tests.integration.persister.conftest import SHARDS, Database, Log, Persisters, wait_for
from tests.stack import RunningStack
from tests.written import Say

pytestmark = pytest.mark.stack

GONE_WITHIN_S = 30.0
"""Generous: what is tried is that it does not wait for who does not answer."""


def session(name: str) -> str:
    return f"{name}-{random.SystemRandom().randrange(10**9)}"


class Load:
    """Answers of many sessions, streamed side by side, some of them with a second attempt."""

    def __init__(self, name: str, sessions: int = 20, pieces: int = 60) -> None:
        self.prefix = session(name)
        self.says = [Say(f"{self.prefix}-{n}", "m1") for n in range(sessions)]
        self.texts = [f"{n} " for n in range(pieces)]
        answers = [self._answer(n, say) for n, say in enumerate(self.says)]
        longest = max(len(each) for each in answers)
        said: list[Event] = [say.said() for say in self.says]
        self.events = said + [each[k] for k in range(longest) for each in answers if k < len(each)]

    async def write(self, log: Log, pause_s: float = 0.05) -> None:
        """As workers do: over some seconds."""
        for at in range(0, len(self.events), 100):
            await log.append(self.events[at : at + 100])
            await asyncio.sleep(pause_s)

    def all_ended(self, database: Database) -> bool:
        return database.ended(f"{self.prefix}-%") == len(self.says)

    def check(self, database: Database) -> None:
        for say in self.says:
            assert database.text(say.session_id) == "".join(self.texts)
        total = "SELECT count(*) FROM streaming_messages WHERE session_id LIKE %s"
        like = f"{self.prefix}-%"
        assert database.value(total, like) == len(self.says) * len(self.texts)
        assert database.value(f"{total} AND is_complete", like) == len(self.says)

    def _answer(self, number: int, say: Say) -> list[Event]:
        whole = say.answer(self.texts, "a2", (1, 2, 1))
        if number % 3:
            return whole
        cut = say.answer(self.texts[:20], "a1", (1, 1, 1))[:-1]
        return [*cut, *whole]


def stop(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    return process.wait(GONE_WITHIN_S)


async def test_the_two_queries_that_everyone_uses(
    database: Database, persisters: Persisters, log: Log
) -> None:
    say, second = Say(session("two"), "m1"), Say(session("two"), "m2")
    second.session_id = say.session_id
    await log.append([say.said(), *say.answer(["Hel", "lo"]), *second.answer([" and", " bye"])])
    process = persisters.start()
    await wait_for(lambda: database.ended(say.session_id) == 2)
    assert database.text(say.session_id) == "Hello and bye"
    joined = (
        "SELECT string_agg(content, '' ORDER BY chunk_sequence) FROM streaming_messages "
        "WHERE session_id = %s"
    )
    assert database.value(joined, say.session_id) == "Hello and bye"
    rows = database.rows(
        "SELECT * FROM conversation WHERE session_id = %s ORDER BY first_epoch, first_offset",
        say.session_id,
    )
    assert [row["content"] for row in rows] == ["Hello", " and bye"]
    assert [row["user_id"] for row in rows] == ["ada", None]
    assert stop(process) == 0


async def test_kill_9_again_and_again_gives_no_doubled_and_no_missing_row(
    database: Database, persisters: Persisters, log: Log
) -> None:
    load = Load("killed", sessions=40)
    size = len(load.events) // 5 + 1
    parts = [load.events[at : at + size] for at in range(0, len(load.events), size)]
    for part in parts[:-1]:
        before = _position(database)
        process = persisters.start(batch_max_records=200)
        # Each has something to write that the one before it can't have written.
        await log.append(part)
        await wait_for(lambda before=before: _position(database) > before)  # type: ignore[misc]
        process.kill()
        process.wait()
    persisters.start()
    await log.append(parts[-1])
    await wait_for(lambda: load.all_ended(database))
    load.check(database)


async def test_one_joins_and_one_leaves_in_the_middle(
    database: Database, persisters: Persisters, log: Log
) -> None:
    load = Load("rebalanced", sessions=40)
    writing = asyncio.create_task(load.write(log, 0.2))
    first = persisters.start(batch_max_records=200)
    await wait_for(lambda: database.ended(f"{load.prefix}-%") or _stored(database, load))
    persisters.start(batch_max_records=200)
    await wait_for(lambda: persisters.written().count('"event": "writing"') == 2)
    assert stop(first) == 0
    await writing
    await wait_for(lambda: load.all_ended(database))
    load.check(database)


def _position(database: Database) -> int:
    return int(database.value("SELECT COALESCE(sum(next_offset), 0) FROM kafka_offsets"))


def _stored(database: Database, load: Load) -> int:
    query = "SELECT count(*) FROM streaming_messages WHERE session_id LIKE %s"
    return int(database.value(query, f"{load.prefix}-%"))


async def test_a_writer_stopped_inside_its_transaction_is_fenced(
    database: Database, persisters: Persisters, log: Log
) -> None:
    load = Load("zombie")
    zombie = persisters.start(idle_in_transaction_s=1)
    await wait_for(lambda: "writing" in persisters.written())
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'talklog-persister' "
        "AND datname = current_database() AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(database.dsn) as blocker:
        # It has moved its positions and copied its chunks when it comes to the answers.
        blocker.execute("LOCK TABLE answers IN EXCLUSIVE MODE")
        await load.write(log, 0)
        await wait_for(lambda: database.value(waits))
        zombie.send_signal(signal.SIGSTOP)
    persisters.start(idle_in_transaction_s=1)
    await wait_for(lambda: load.all_ended(database))
    load.check(database)
    zombie.send_signal(signal.SIGCONT)
    more = Load("zombie-awake")
    await more.write(log)
    await wait_for(lambda: more.all_ended(database))
    load.check(database)
    more.check(database)
    assert stop(zombie) == 0


async def test_postgres_may_stand_still(
    servers: RunningStack, database: Database, persisters: Persisters, log: Log
) -> None:
    load = Load("still")
    persisters.start(statement_timeout_s=0.5)
    await wait_for(lambda: "writing" in persisters.written())
    servers.hold("postgres")
    try:
        await load.write(log)
        await wait_for(lambda: "postgres unavailable" in persisters.written())
    finally:
        servers.let_go("postgres")
    await wait_for(lambda: load.all_ended(database))
    load.check(database)


async def test_it_leaves_soon_when_postgres_and_kafka_do_not_answer(
    servers: RunningStack, database: Database, persisters: Persisters, log: Log
) -> None:
    process = persisters.start()
    await wait_for(lambda: "writing" in persisters.written())
    load = Load("leaves")
    for name in ("postgres", "kafka"):
        if name == "kafka":
            await load.write(log, 0)
        servers.hold(name)
    try:
        await asyncio.to_thread(stop, process)
    finally:
        for name in ("postgres", "kafka"):
            servers.let_go(name)
    assert process.returncode == 0
    persisters.start()
    await wait_for(lambda: load.all_ended(database))
    load.check(database)


async def test_a_record_that_is_no_event_goes_to_the_dead_letters(
    database: Database, persisters: Persisters, log: Log
) -> None:
    say = Say(session("bad"), "m1")
    shard, key = shard_of(say.session_id, SHARDS), say.session_id.encode()
    offset = await log.append_raw(SESSION_LOG, shard, key, b"{not json")
    await log.append(say.answer(["a"]))
    persisters.start()
    await wait_for(lambda: database.ended(say.session_id) == 1)
    [letter] = await log.dead_letters(key)
    assert letter["value"] == b"{not json"
    assert letter["topic"] == SESSION_LOG.encode()
    assert (letter["partition"], letter["offset"]) == (b"%d" % shard, b"%d" % offset)
    assert b"not an event" in letter["reason"]


async def test_a_row_that_postgres_refuses_is_found_and_goes_to_the_dead_letters(
    database: Database, persisters: Persisters, log: Log
) -> None:
    database.rows(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.content = 'refuse me' THEN
                RAISE EXCEPTION 'refused' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refusing BEFORE INSERT ON streaming_messages
            FOR EACH ROW EXECUTE FUNCTION refuse();
        """
    )
    load, say = Load("refused", sessions=5), Say(session("refused"), "m1")
    await load.write(log, 0)
    await log.append(say.answer(["a", "refuse me", "c"]))
    process = persisters.start()
    await wait_for(lambda: database.ended(say.session_id) == 1 and load.all_ended(database))
    load.check(database)
    assert database.text(say.session_id) == "ac"
    query = "SELECT damaged FROM answers WHERE session_id = %s"
    assert database.value(query, say.session_id) is True
    [letter] = await log.dead_letters(say.session_id.encode())
    assert b"refuse me" in letter["value"]
    assert b"InvalidParameterValue" in letter["reason"]
    assert stop(process) == 0


async def test_while_the_tables_refuse_what_is_right_nothing_is_passed(
    database: Database, persisters: Persisters, log: Log
) -> None:
    # A migration came first, and the persister of before put every record with the dead letters.
    say = Say(session("not-right"), "m1")
    database.rows("ALTER TABLE answers ADD COLUMN later TEXT NOT NULL")
    admin_port = free_run(1)
    persisters.start(admin_port=admin_port)
    await log.append([say.said(), *say.answer(["a", "b"])])
    await wait_for(lambda: "the store is not right" in persisters.written())
    with pytest.raises(HTTPError) as answer:
        await asyncio.to_thread(urlopen, f"http://127.0.0.1:{admin_port}/readyz")
    assert b"the store is not right" in answer.value.read()
    database.rows("ALTER TABLE answers DROP COLUMN later")
    await wait_for(lambda: database.ended(say.session_id) == 1)
    assert database.text(say.session_id) == "ab"
    assert await log.dead_letters(say.session_id.encode()) == []
