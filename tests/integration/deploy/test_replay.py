"""`talklog replay` against a real log and real tables, which the test writes itself."""

import json
import uuid
from collections.abc import Iterable

import pytest
from aiokafka import AIOKafkaProducer

from deploy.operators.tooling.reread import Range, reread
from schemas.events import SessionEvent, encode
from schemas.shard_log import Record
from schemas.topics import SESSION_LOG, shard_of
from tests.stack import RunningStack, talklog
from tests.trim import trim
from tests.unit.schemas.log_of import chunk, complete, queued, start

pytestmark = pytest.mark.stack

SHARDS = 8


@pytest.fixture
def session() -> str:
    return f"replay-{uuid.uuid4().hex[:8]}"


async def write(
    producer: AIOKafkaProducer, session: str, events: Iterable[SessionEvent | bytes]
) -> None:
    for event in events:
        value = event if isinstance(event, bytes) else encode(event)
        shard = shard_of(session, SHARDS)
        await producer.send_and_wait(SESSION_LOG, value, session.encode(), partition=shard)


async def test_a_conversation_comes_back_from_the_topic(
    servers: RunningStack, producer: AIOKafkaProducer, session: str
) -> None:
    await write(
        producer,
        session,
        [
            queued(),
            start("a1", (1, 1, 0)),
            chunk("a1", 1, "lost"),
            start("a2", (1, 2, 0)),
            chunk("a1", 2, " text"),
            chunk("a2", 1, "Guten "),
            chunk("a2", 2, "Tag"),
            complete("a2", 2),
        ],
    )
    told = talklog(servers, "replay", "--session", session)
    assert told.stdout == "> hello\n\nGuten Tag\n\n-- m1 · complete, stop · started 2 times\n"
    assert told.stderr == ""


async def test_every_record_comes_back_with_its_cursor(
    servers: RunningStack, producer: AIOKafkaProducer, session: str
) -> None:
    await write(producer, session, [start("a1", (1, 1, 0)), b"garbage", chunk("a1", 1, "x")])
    told = talklog(servers, "replay", "--session", session, "--format", "events")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["outcome"] for line in lines] == ["STARTED", "UNDECODABLE", "CHUNK"]
    places = [line["cursor"].split(".") for line in lines]
    assert {place[0] for place in places} == {str(servers.epoch)}
    assert {place[1] for place in places} == {str(shard_of(session, SHARDS))}
    offsets = [int(place[2]) for place in places]
    assert offsets == list(range(offsets[0], offsets[0] + 3))


@pytest.mark.parametrize("source", ["topic", "postgres"])
def test_a_session_that_is_not_there_is_one_line_and_exit_1(
    servers: RunningStack, session: str, source: str
) -> None:
    told = talklog(servers, "replay", "--session", session, "--from", source, check=False)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.count("\n") == 1
    assert session in told.stderr


async def test_a_long_shard_is_read_in_pieces_and_whole(
    servers: RunningStack, producer: AIOKafkaProducer, session: str
) -> None:
    shard = shard_of(session, SHARDS)
    for _ in range(10):
        sends = [
            await producer.send(SESSION_LOG, b"x" * 200_000, session.encode(), partition=shard)
            for _ in range(10)
        ]
        for sent in sends:
            await sent
    ranges: list[Range] = []
    pieces: list[list[Record]] = []
    trimmed = await reread(
        servers.file.kafka,
        SESSION_LOG,
        shard,
        SHARDS,
        on_range=ranges.append,
        on_records=lambda records: pieces.append(list(records)),
    )
    offsets = [record.offset for piece in pieces for record in piece]
    assert trimmed == []
    assert offsets == list(range(ranges[0].start, ranges[0].end))
    await trim(servers.file.kafka, SESSION_LOG, shard)
    # The consumer's limit a fetch: what is held at once does not grow with the log.
    assert max(sum(len(record.value) for record in piece) for piece in pieces) < 4 * 1024 * 1024
