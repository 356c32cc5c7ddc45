"""The real tables do what the ones in memory do; a stopped writer does not hold them for ever."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from persister.batch import Partition, Pending, drop, take
from persister.dead_letters import Bad
from persister.known_good import known_good_rows
from persister.reading import WholeRecord
from persister.rows import RowFold
from persister.store import Move, PositionsHeld, RowRefused, Store, StoreNotRight, Superseded
from persister.timeouts import Timeouts
from persister.writer import Batch, Writer
from schemas.events import Event
from schemas.topics import SESSION_LOG
from tests.integration.persister.conftest import Database
from tests.unit.persister.folding import EPOCH, SHARDS, folded
from tests.unit.persister.random_log import SESSIONS, any_event
from tests.unit.persister.tables import Tables
from tests.written import Say, log_of

pytestmark = pytest.mark.stack

PARTITION = Partition(SESSION_LOG, 0)
MAX_BYTES = 1 << 20
NOTHING = RowFold(EPOCH, 1).fold([])


class NoLetters:
    async def put(self, bad: Bad) -> None:
        return


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    made = Store(database.dsn, Timeouts(statement_s=5, lock_s=0.3, idle_in_transaction_s=0.5))
    yield made
    await made.close()


async def _write(store: Store, events: list[Event], sizes: list[int]) -> None:
    writer = Writer(store, NoLetters(), epoch=EPOCH, shards=SHARDS, max_answers=2)
    await _begin(store)
    for partition, records in log_of(events, SHARDS).records.items():
        pending = {partition: Pending[WholeRecord](0, deque(records))}
        ahead: Batch | None = None
        for size in [*sizes, len(records), len(records)]:  # the last may be read ahead
            batch = ahead or await writer.read(take(pending, size, MAX_BYTES))
            if batch.records:
                # What follows is read meanwhile, as the persister does it.
                following = take(pending, size, MAX_BYTES, batch.stretches)
                ahead = (await writer.write(batch, following)).following
                drop(pending, batch.stretches)


async def test_known_good_rows_are_taken_and_leave_nothing(
    store: Store, database: Database
) -> None:
    await store.try_out(known_good_rows())
    for table in ("answers", "user_messages", "streaming_messages"):
        assert database.value(f"SELECT count(*) FROM {table}") == 0


async def test_an_older_writer_goes_on_after_a_migration_with_a_default(
    store: Store, database: Database
) -> None:
    # It wrote explicit NULLs into every column there was: each record went to the dead letters.
    for table in ("answers", "user_messages", "streaming_messages"):
        database.rows(f"ALTER TABLE {table} ADD COLUMN later TEXT NOT NULL DEFAULT 'x'")
    say = Say("s1", "m1")
    await _write(store, [say.said(), *say.answer(["a", "b"])], [])
    assert database.rows("SELECT later FROM answers") == [{"later": "x"}]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE answers ADD COLUMN later TEXT NOT NULL",
        "ALTER TABLE answers ADD CHECK (starts > 100)",
    ],
)
async def test_tables_that_refuse_what_is_right_are_not_the_records_fault(
    store: Store, database: Database, change: str
) -> None:
    database.rows(change)
    with pytest.raises(StoreNotRight):
        await store.try_out(known_good_rows())


async def _begin(store: Store) -> None:
    for topic in ("user_messages", SESSION_LOG):
        for shard in range(SHARDS):
            await store.begin(Partition(topic, shard), EPOCH, 0)


@pytest.mark.parametrize("seed", range(25))
async def test_the_same_log_gives_the_same_rows_as_in_memory(
    seed: int, store: Store, database: Database
) -> None:
    chance = random.Random(seed)
    events = [any_event(chance) for _ in range(120)]
    for _ in range(seed % 3):  # some of them are forgotten
        erased = Say(chance.choice(SESSIONS), "f").forgotten(chance.randrange(15))
        events.insert(chance.randrange(len(events)), erased)
    await _write(store, events, [chance.randrange(1, 12) for _ in range(8)])
    assert _dump(database) == _plain(folded(events))


def _dump(database: Database) -> dict[str, Any]:
    chunks = database.rows("SELECT * FROM streaming_messages")
    numbered = {(row["session_id"], row["chunk_sequence"]): row for row in chunks}
    for row in chunks:
        del row["id"]
    return {
        "chunks": {place: _times(row) for place, row in numbered.items()},
        "forgotten": {
            row["session_id"]: _times(row)
            for row in database.rows("SELECT * FROM forgotten_sessions")
        },
        **{
            name: {(row["session_id"], row["message_id"]): _times(row) for row in rows}
            for name, rows in (
                ("answers", database.rows("SELECT * FROM answers")),
                ("prompts", database.rows("SELECT * FROM user_messages")),
            )
        },
    }


def _plain(tables: Tables) -> dict[str, Any]:
    return {
        name: {key: _times(row) for key, row in rows.items()}
        for name, rows in tables.dump().items()
    }


def _times(row: dict[str, Any]) -> dict[str, Any]:
    return row | {
        name: _moment(row[name])
        for name in ("created_at", "ended_at", "forgotten_at", "cancelled_at")
        if row.get(name) is not None
    }


def _moment(value: str | datetime) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC)


async def test_a_position_moves_only_from_what_is_expected(store: Store) -> None:
    await _begin(store)
    await store.save(NOTHING, [Move(PARTITION, EPOCH, 0, 5)])
    for wrong in (Move(PARTITION, EPOCH, 0, 9), Move(PARTITION, EPOCH + 1, 5, 9)):
        with pytest.raises(Superseded):
            await store.save(NOTHING, [wrong])
    other = Partition(SESSION_LOG, 1)
    with pytest.raises(Superseded):
        await store.save(NOTHING, [Move(PARTITION, EPOCH, 5, 6), Move(other, EPOCH, 3, 4)])
    assert (await store.positions())[PARTITION].next_offset == 5


async def test_an_older_epoch_begins_anew_and_a_newer_one_stays(store: Store) -> None:
    await store.begin(PARTITION, 5, 100)
    await store.begin(PARTITION, 6, 7)
    await store.begin(PARTITION, 5, 50)
    position = (await store.positions())[PARTITION]
    assert (position.epoch, position.next_offset) == (6, 7)


async def test_a_refused_row_leaves_nothing_and_the_store_goes_on(
    store: Store, database: Database
) -> None:
    say, too_long = Say("s1", "m1"), RowFold(EPOCH, 1)
    key = ("s" * 300, "m1")
    too_long.restore([key], [], {})
    events: list[Any] = Say(*key).answer(["no"])
    rows = too_long.fold([(0, offset, event) for offset, event in enumerate(events)])
    with pytest.raises(RowRefused):
        await store.save(rows, [])
    assert database.value("SELECT count(*) FROM answers") == 0
    await _write(store, say.answer(["yes"]), [])
    assert database.text("s1") == "yes"


async def test_a_writer_that_is_stopped_in_the_middle_of_a_copy_is_ended(
    store: Store, database: Database
) -> None:
    """The server waits for its next bytes without a time-out, and it holds the positions."""
    await _begin(store)
    stopped = await psycopg.AsyncConnection.connect(
        database.dsn,
        application_name="talklog-persister",
        options="-c idle_in_transaction_session_timeout=500 -c statement_timeout=500",
    )
    await stopped.execute("SELECT * FROM kafka_offsets FOR UPDATE")
    try:
        with pytest.raises(psycopg.Error):
            await _copy_until_ended(stopped, store, database)
        await store.save(NOTHING, [Move(PARTITION, EPOCH, 0, 5)])
    finally:
        await stopped.close()


async def _copy_until_ended(
    stopped: "psycopg.AsyncConnection[object]", store: Store, database: Database
) -> None:
    """Leave the copy only when the server's side is gone: until then it could still be finished."""
    pid = stopped.info.backend_pid
    lives = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    async with (
        asyncio.timeout(40),
        stopped.cursor().copy("COPY streaming_messages (session_id) FROM STDIN"),
    ):
        while not await store.end_stalled_writers():
            with pytest.raises(PositionsHeld):
                await store.save(NOTHING, [Move(PARTITION, EPOCH, 0, 5)])
        while database.value(lives, pid):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
