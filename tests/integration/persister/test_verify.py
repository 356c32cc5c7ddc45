"""`talklog verify` on real servers: silent about what is right, exact about what is wrong."""

import asyncio
import subprocess
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from deploy.operators.verify.stored_rows import StoredRows
from persister.batch import Partition
from schemas.topics import SESSION_LOG, USER_MESSAGES, WORKER_GROUP, shard_of
from tests.integration.persister.conftest import SHARDS, Database, Log, Persisters, wait_for
from tests.integration.persister.test_persister import Load, session
from tests.stack import RunningStack, running_stack
from tests.written import Say

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A log of its own: other tests write what breaks the rules."""
    with running_stack(tmp_path_factory.mktemp("verified"), servers_only=True) as stack:
        yield stack


def verify(persisters: Persisters, *options: str) -> "subprocess.CompletedProcess[str]":
    return persisters.talklog("verify", *options)


async def _committed(servers: RunningStack, shard: int, offset: int) -> None:
    """As the workers' group would commit."""
    partition = TopicPartition(USER_MESSAGES, shard)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers.file.kafka, group_id=WORKER_GROUP, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([partition])
    await consumer.commit({partition: OffsetAndMetadata(offset, "")})
    await consumer.stop()


async def test_faults_are_found_with_their_cursors_and_none_is_invented(
    servers: RunningStack, database: Database, persisters: Persisters, log: Log
) -> None:
    load = Load("verified")
    persisters.start()
    writing = asyncio.create_task(load.write(log))
    # In the middle of it: rows are compared at the position that they have.
    middle = await asyncio.to_thread(verify, persisters)
    assert (middle.returncode, middle.stderr) == (0, ""), middle.stdout
    await writing
    await wait_for(lambda: load.all_ended(database))
    clean = await asyncio.to_thread(verify, persisters, "--older-than-m", "0")
    assert (clean.returncode, clean.stderr) == (0, ""), clean.stdout
    assert "no rule is broken" in clean.stdout

    name = session("faulty")
    hole, open_, early = (Say(f"{name}-{n}", "m1") for n in range(3))
    await log.append([open_.said()])
    await log.append([hole.said(), hole.generating("a1"), hole.chunk("a1", 2, "b")])
    await log.append([hole.complete("a1", 2), early.said(), early.chunk("a1", 1, "x")])
    await log.append(early.answer(["a"]))
    await wait_for(lambda: database.ended(f"{name}-%") == 2)
    database.rows(
        "UPDATE streaming_messages SET content = 'forged' WHERE session_id = %s",
        early.session_id,
    )
    database.rows(
        "INSERT INTO streaming_messages "
        "(session_id, chunk_sequence, content, message_id, attempt, sequence) "
        "VALUES ('nobody', 1, 'x', 'm1', 'a1', 1)"
    )
    database.rows(
        "INSERT INTO log_gaps (topic, shard, from_offset, to_offset) VALUES (%s, 3, 5, 9)",
        SESSION_LOG,
    )
    await _committed(servers, shard_of(open_.session_id, SHARDS), 10_000)
    found = await asyncio.to_thread(verify, persisters, "--older-than-m", "0")
    assert found.returncode == 1
    kinds = sorted(line.split(" at ")[0] for line in found.stdout.splitlines() if " at " in line)
    assert kinds == [
        "chunk_before_start",
        "gap",
        "hole",
        "passed",
        "row_differs",
        "row_invented",
        "unended",
    ], found.stdout
    assert f"gap at {servers.epoch}.3.5: {SESSION_LOG} up to offset 9" in found.stdout
    for kind, say in (("hole", hole), ("unended", open_), ("chunk_before_start", early)):
        shard = shard_of(say.session_id, SHARDS)
        assert f"{kind} at {servers.epoch}.{shard}." in found.stdout
        assert f"session {say.session_id} message m1" in found.stdout


async def test_a_since_that_is_no_time_is_a_mistake_of_usage(
    database: Database, persisters: Persisters
) -> None:
    done = await asyncio.to_thread(verify, persisters, "--since", "lately")
    assert done.returncode == 2
    assert "lately" in done.stderr


async def test_rows_and_positions_that_were_tampered_with_are_found(
    servers: RunningStack, database: Database, persisters: Persisters, log: Log
) -> None:
    load = Load("tampered")
    persisters.start()
    await load.write(log)
    await wait_for(lambda: load.all_ended(database))
    persisters.end()
    shards = {shard_of(say.session_id, SHARDS): say.session_id for say in load.says}
    (lost_in, lost), (cut_in, cut), (moved, _), (old, _) = list(shards.items())[:4]
    database.rows(
        "DELETE FROM streaming_messages WHERE session_id = %s AND chunk_sequence = "
        "(SELECT max(chunk_sequence) FROM streaming_messages WHERE session_id = %s)",
        lost,
        lost,
    )
    database.rows("UPDATE answers SET damaged = TRUE WHERE session_id = %s", cut)
    insert = "INSERT INTO log_gaps (topic, shard, from_offset, to_offset) VALUES (%s, %s, 0, 1)"
    database.rows(insert, SESSION_LOG, cut_in)
    beyond = "UPDATE kafka_offsets SET next_offset = 1000000 WHERE topic = %s AND shard = %s"
    database.rows(beyond, SESSION_LOG, moved)
    database.rows(
        "UPDATE kafka_offsets SET epoch = epoch - 1 WHERE topic = %s AND shard = %s",
        USER_MESSAGES,
        old,
    )
    found = await asyncio.to_thread(verify, persisters, "--older-than-m", "10")
    assert found.returncode == 1
    listed = [line for line in found.stdout.splitlines() if f" at {servers.epoch}." in line]

    def shards_of(kind: str) -> set[int]:
        cursors = [line.split()[2] for line in listed if line.startswith(f"{kind} at ")]
        return {int(cursor.split(".")[1]) for cursor in cursors}

    assert shards_of("row_missing") >= {lost_in}, found.stdout
    assert shards_of("damage") == shards_of("gap") == {cut_in}, found.stdout
    assert shards_of("position") == {moved, old}, found.stdout
    assert f"session {lost} message m1" in found.stdout
    assert f"session {cut} message m1" in found.stdout


def test_each_look_at_the_rows_is_a_short_snapshot_of_its_own(database: Database) -> None:
    # One snapshot was held for the whole verification: for hours Postgres could not clean up.
    rows = StoredRows(database.dsn)
    try:
        assert rows.positions() == {}
        database.rows(
            "INSERT INTO kafka_offsets (topic, shard, epoch, next_offset) VALUES ('t', 0, 1, 5)"
        )
        assert rows.positions() == {Partition("t", 0): (1, 5)}
        held = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'talklog-verify' "
        held += "AND datname = current_database() AND xact_start IS NOT NULL"
        assert database.value(held) == 1
        rows.let_go()
        assert database.value(held) == 0
    finally:
        rows.close()
