"""Postgres behind PgBouncer in transaction mode: every tier works, and every limit holds."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from deploy.operators.migrate import migrate
from gateway.snapshot.stored import Store
from persister.old_rows import FIRST, Old, OldRows
from persister.store import Store as PersisterStore
from persister.timeouts import TIMEOUTS, Timeouts
from schemas.session_limits import SessionLimits
from tests.end_to_end.reader import Reader
from tests.integration.persister.conftest import Database
from tests.integration.persister.old_messages import EPOCH, NOW, many
from tests.managed.pgbouncer import pgbouncer
from tests.scripted_model.control import scripted_model
from tests.scripted_model.script import answer_text
from tests.stack import RunningStack, running_stack, talklog
from tests.waiting import WITHIN_S, until
from workers.history.stored_conversation import StoredConversations

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

OFTEN = 12
"""From its sixth time on the library would prepare a statement."""


@pytest.fixture(scope="module")
def pooled(servers: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pgbouncer(servers.file.postgres, tmp_path_factory.mktemp("pgbouncer")) as place:
        yield place


@contextmanager
def stack_behind(pooler: str, folder: Path) -> Iterator[RunningStack]:
    """A stack of a scripted model whose services reach Postgres through the pooler only."""
    with (
        scripted_model() as model,
        running_stack(
            folder,
            OPENAI_BASE_URL=model.url,
            TALKLOG_POSTGRES_DSN=pooler,
            TALKLOG_POSTGRES_POOLER="transaction",
        ) as stack,
    ):
        yield stack


async def test_a_chat_goes_through_all_of_it(pooled: str, tmp_path: Path) -> None:
    with stack_behind(pooled, tmp_path / "stack") as stack:
        url = stack.file.gateways[0].url
        for number in range(OFTEN):
            session = f"pooled-{number % 3}"
            async with Reader(url, session, "?history=10") as reader:
                order = f"go [[key=p{number} tokens=20 rate=400]]"
                await reader.ask(order, f"m{number}")
                message = await reader.ended(f"m{number}")
                assert message.text == answer_text(f"p{number}", 1, 20)
        async with Reader(url, "pooled-1", "?history=10") as again:
            assert answer_text("p1", 1, 20) in str(again.of_type("snapshot"))

        def stored() -> bool:
            with psycopg.connect(pooled, prepare_threshold=None) as connection:
                ended = "SELECT count(*) FROM answers WHERE session_id LIKE 'pooled-%'"
                return connection.execute(ended + " AND state = 'complete'").fetchone() == (OFTEN,)

        await until(stored, WITHIN_S, "all answers are stored")
        logs = [path.read_text() for path in (stack.state / "logs").glob("*.log")]
        assert not [line for line in "".join(logs).splitlines() if "postgres unavailable" in line]


def test_the_tables_are_migrated_through_it(pooled: str) -> None:
    for _ in range(3):
        assert migrate(pooled) == []
    with psycopg.connect(pooled, prepare_threshold=None) as connection:
        held = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert held.fetchone() == (0,), "a lock of a session would stay with its connection"


@pytest.fixture
def pooled_alone(pooled: str, servers: RunningStack) -> str:
    """A database of the test's own behind the pooler: a rebuild wants no rows of another log."""
    with psycopg.connect(servers.file.postgres, autocommit=True) as admin:
        admin.execute("CREATE DATABASE alone")
    place = urlunsplit(urlsplit(pooled)._replace(path="/alone"))
    migrate(place)
    return place


async def test_every_command_goes_through_it(pooled_alone: str, tmp_path: Path) -> None:
    """They set their limits at the connection's start, which a pooler refuses."""
    with stack_behind(pooled_alone, tmp_path / "stack") as stack:
        assert stack.file.postgres == pooled_alone

        async def told(*command: str) -> str:
            return (await asyncio.to_thread(talklog, stack, *command)).stdout

        for session in ("kept", "erased"):
            async with Reader(stack.file.gateways[0].url, session) as reader:
                await reader.ask("go [[key=p tokens=20 rate=400]]", "m1")
                await reader.ended("m1")

        def ended() -> bool:
            # Not only these are there: a stack that starts says a message itself.
            done = "SELECT count(*) FROM answers WHERE state = 'complete' AND message_id = 'm1'"
            return _asked(pooled_alone, done) == [(2,)]

        await until(ended, WITHIN_S, "both answers are stored")
        assert answer_text("p", 1, 20) in await told(
            "replay", "--session", "kept", "--from", "postgres"
        )
        assert "Postgres did not answer" not in await told("lag")
        assert "no rule is broken" in await told("verify")
        assert "the tables are what the log says" in await told("rebuild", "--compare")
        _asked(pooled_alone, "UPDATE answers SET model = 'forged' RETURNING 1")
        assert "the new ones are in use" in await told("rebuild")
        assert "session erased is forgotten" in await told("forget", "erased", "--yes")
        assert "the tables are what the log says" in await told("rebuild")
        assert "no rule is broken" in await told("verify")
        # Nothing of theirs stays with the connections that are lent to others.
        for _ in range(OFTEN):
            limits = ("statement_timeout", "lock_timeout", "client_min_messages", "search_path")
            shown = ", ".join(f"current_setting('{name}')" for name in limits)
            assert _asked(pooled_alone, f"SELECT {shown}") == [
                ("0", "0", "notice", '"$user", public')
            ]
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert _asked(pooled_alone, locks) == [(0,)]


def _asked(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, prepare_threshold=None) as connection:
        return connection.execute(query.encode()).fetchall()


async def test_a_limit_is_its_transactions_and_no_others(pooled: str) -> None:
    limits = SessionLimits({"statement_timeout": 250}, pooled=True)
    begin = limits.transaction()
    assert begin is not None
    connect = psycopg.AsyncConnection.connect(pooled, **limits.connection())
    async with await connect as connection:
        await connection.execute(begin)
        with pytest.raises(psycopg.errors.QueryCanceled):
            await connection.execute("SELECT pg_sleep(60)")
        await connection.rollback()
        shown = await (await connection.execute("SHOW statement_timeout")).fetchone()
        assert shown == ("0",)


async def test_gateway_and_worker_read_again_and_again(pooled: str) -> None:
    store = Store(pooled, 1, pooled=True)
    conversations = StoredConversations(pooled, budget_tokens=50, pooled=True)
    await store.open()
    await conversations.open()
    try:
        for _ in range(OFTEN):
            assert (await store.earlier("nobody", 0, None, 10)).messages == []
            assert await store.answers()
            reads = [conversations.read("nobody", shard=0, epoch=1) for _ in range(4)]
            assert all(read is not None for read in await asyncio.gather(*reads))
    finally:
        await store.close()
        await conversations.close()


async def test_a_persister_gives_up_what_takes_too_long(pooled: str) -> None:
    patient = PersisterStore(pooled, TIMEOUTS, pooled=True)
    for _ in range(OFTEN):
        await patient.positions()
    with psycopg.connect(pooled, prepare_threshold=None) as holder:
        holder.execute("LOCK TABLE kafka_offsets IN ACCESS EXCLUSIVE MODE")
        short = Timeouts(statement_s=5.0, lock_s=0.2, idle_in_transaction_s=5.0)
        hasty = PersisterStore(pooled, short, pooled=True)
        with pytest.raises(Exception, match="LockNotAvailable"):
            await hasty.positions()
        await hasty.close()
    await patient.positions()
    await patient.close()


async def test_old_rows_leave_and_the_turn_ends_with_its_transaction(
    pooled: str, servers: RunningStack
) -> None:
    """A lock of the session would stay with the server's connection: nobody had a turn again."""
    many(Database(servers.file.postgres), messages=1_000, pieces=20)
    old = Old(NOW, EPOCH + 1, [])
    first, second = [await OldRows.connected(pooled, pooled=True) for _ in range(2)]
    try:
        removed = await first.remove(old, FIRST)
        assert removed is not None
        assert removed.next is not None
        for rows in (second, first) * OFTEN:
            removed = await rows.remove(old, removed.next or FIRST)
            assert removed is not None
        oldest_s = await first.oldest_s()
        assert oldest_s is None or oldest_s > NOW.timestamp(), "another test's, of today"
    finally:
        await first.close()
        await second.close()
