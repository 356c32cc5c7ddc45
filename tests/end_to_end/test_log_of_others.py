"""The log is not ours alone: what others write, and what Kafka writes itself, ends no reader.

Once one transaction of another producer stopped every worker for good: its marker took an offset,
and nobody delivered it. So each test here goes through all readers, on a stack of its own.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from urllib.request import urlopen
from uuid import uuid4

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.events import UserMessage, encode
from schemas.log.topic_check import look_at_topics
from schemas.topics import HEADERS, SESSION_LOG, USER_MESSAGES, shard_of, topics
from tests.end_to_end.reader import Reader
from tests.odd_keys import write_odd_keys
from tests.scripted_model.control import ModelControl
from tests.stack import RunningStack, running_stack, talklog
from tests.waiting import WITHIN_S, until
from tests.written import CREATED_AT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SHARDS = 2
STALL_LIMIT_S = 6.0
BOTH = (USER_MESSAGES, SESSION_LOG)
STRANGE_RECORDS = 60
CODECS = ("gzip", "snappy", "lz4", "zstd")


@pytest.fixture(scope="module")
def stack(model: ModelControl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """One of each; a reader that stands still is ended soon."""
    with running_stack(
        tmp_path_factory.mktemp("others"),
        OPENAI_BASE_URL=model.url,
        SHARDS=str(SHARDS),
        GATEWAYS="1",
        WORKERS="1",
        PERSISTERS="1",
        TALKLOG_STALL_LIMIT_S=str(STALL_LIMIT_S),
    ) as stack:
        yield stack


@asynccontextmanager
async def stranger(stack: RunningStack, **options: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=stack.file.kafka, max_request_size=2 * 1024 * 1024, **options
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def message(session_id: str, message_id: str, content: str) -> bytes:
    return encode(
        UserMessage(
            session_id=session_id, message_id=message_id, created_at=CREATED_AT, content=content
        )
    )


async def ends(stack: RunningStack) -> dict[tuple[str, int], int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.file.kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, shard) for topic in BOTH for shard in range(SHARDS)]
        return {tuple(tp): end for tp, end in (await consumer.end_offsets(partitions)).items()}
    finally:
        await consumer.stop()


def stored(stack: RunningStack) -> dict[tuple[str, int], int]:
    with psycopg.connect(stack.file.postgres) as connection:
        query = "SELECT topic, shard, next_offset FROM kafka_offsets"
        return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def ready(stack: RunningStack) -> bool:
    file = stack.file
    services = [*file.workers, *file.persisters]
    for admin in [file.gateways[0].admin, *(each.admin for each in services)]:
        with urlopen(f"{admin}/readyz", timeout=WITHIN_S) as answer:
            if answer.status != 200:
                return False
    return True


async def everything_goes_on(
    stack: RunningStack, session_id: str, watched_s: float = 2 * STALL_LIMIT_S
) -> None:
    """A fresh answer, the rows at the log's end, and every tool content while all are watched."""
    before = {name: stack.pid(name) for name in ("gateway-1", "persister-1")}
    url = stack.file.gateways[0].url
    key = uuid4().hex[:8]
    async with Reader(url, session_id) as reader:
        await reader.ask(f"go [[key={key} tokens=5 rate=200]]", f"after-{key}")
        text = await answered(reader, f"after-{key}")
    at_the_end = await ends(stack)
    # The canary may have written more meanwhile.
    await until(
        lambda: all(stored(stack)[each] >= end for each, end in at_the_end.items()),
        WITHIN_S,
        lambda: f"{stored(stack)}, {at_the_end}",
    )
    # Longer than a reader may stand still: nobody is ended for offsets that hold no record.
    await asyncio.gather(
        asyncio.sleep(watched_s),
        asyncio.to_thread(every_tool_is_content, stack, session_id, text),
    )
    assert before == {name: stack.pid(name) for name in before}
    assert await asyncio.to_thread(ready, stack)
    await until(lambda: not any(waiting(stack)), WITHIN_S, "lag says that nothing waits")


def every_tool_is_content(stack: RunningStack, session_id: str, text: str) -> None:
    """Each reads the log; replay finds the text of the session's last answer."""
    for command in (("verify", "--older-than-m", "0"), ("rebuild", "--compare"), ("lag",)):
        done = talklog(stack, *command, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
    assert text in talklog(stack, "replay", "--session", session_id).stdout


async def answered(reader: Reader, message_id: str) -> str:
    """The text of the answer, whichever attempt it is of."""
    message = await reader.ended(message_id)
    assert message.state == "complete"
    return message.text


def waiting(stack: RunningStack) -> list[int]:
    figures = json.loads(talklog(stack, "lag", "--format", "json").stdout)
    return [each["records"] for each in figures["partitions"]]


async def test_transactions_of_another_producer_stop_nobody(stack: RunningStack) -> None:
    for commit in (True, False):
        session_id = f"others-{uuid4().hex[:8]}"
        shard = shard_of(session_id, SHARDS)
        async with (
            Reader(stack.file.gateways[0].url, session_id) as reader,
            stranger(stack, transactional_id=f"stranger-{session_id}") as producer,
        ):
            await producer.begin_transaction()
            await producer.send_and_wait(
                USER_MESSAGES,
                message(session_id, "theirs", "go [[key=theirs tokens=5 rate=200]]"),
                key=session_id.encode(),
                partition=shard,
                headers=list(HEADERS),
            )
            await producer.send_and_wait(
                SESSION_LOG, b'{"type": "of others"}', key=session_id.encode(), partition=shard
            )
            # Still open: whoever read committed records only would stand here.
            await answered(reader, "theirs")
            await (producer.commit_transaction() if commit else producer.abort_transaction())
    await everything_goes_on(stack, session_id)


async def test_markers_at_both_ends_of_every_shard_stop_nobody_also_after_a_restart(
    stack: RunningStack,
) -> None:
    session_id = f"others-{uuid4().hex[:8]}"
    async with stranger(stack, transactional_id=f"stranger-{session_id}") as producer:
        for commit in (True, False):
            await producer.begin_transaction()
            for topic in BOTH:
                for shard in range(SHARDS):
                    await producer.send_and_wait(topic, b'{"type": "of others"}', partition=shard)
            await (producer.commit_transaction() if commit else producer.abort_transaction())
    await everything_goes_on(stack, session_id)
    await started_again(stack, "gateway-1", "worker-1", "persister-1")
    await everything_goes_on(stack, session_id)


async def started_again(stack: RunningStack, *names: str) -> None:
    """Kill them all at once, and wait until each is back."""
    old = {name: stack.pid(name) for name in names}
    for name in names:
        stack.kill(name)
    stack.start_dead()
    for name in names:
        await until(
            lambda name=name: (  # type: ignore[misc]
                stack.pid(name) not in (0, old[name]) and stack.state_of(name) == "ready"
            ),
            WITHIN_S,
            f"{name} is back",
        )


async def test_a_worker_is_not_ended_for_a_marker_that_nobody_can_deliver(
    stack: RunningStack,
) -> None:
    session_id = f"others-{uuid4().hex[:8]}"
    async with (
        Reader(stack.file.gateways[0].url, session_id) as reader,
        stranger(stack, transactional_id=f"stranger-{session_id}") as producer,
    ):
        await producer.begin_transaction()
        await producer.send_and_wait(
            USER_MESSAGES,
            message(session_id, "theirs", "go [[key=theirs tokens=5 rate=200]]"),
            key=session_id.encode(),
            partition=shard_of(session_id, SHARDS),
        )
        await answered(reader, "theirs")
        await producer.commit_transaction()
    before = stack.pid("worker-1")
    await asyncio.sleep(2 * STALL_LIMIT_S)
    assert stack.pid("worker-1") == before


async def test_whatever_compresses_everybody_reads_it(stack: RunningStack) -> None:
    # One producer, or the topic itself: without the codec each consumer ended in a crash loop.
    session_id = f"others-{uuid4().hex[:8]}"
    try:
        async with Reader(stack.file.gateways[0].url, session_id) as reader:
            for codec in CODECS:
                await compress(stack, codec)
                odd = await look_at_topics(stack.file.kafka, BOTH)
                assert [f"compression.type={codec}" in each.text for each in odd] == [True, True]
                async with stranger(stack, compression_type=codec) as producer:
                    await producer.send_and_wait(
                        USER_MESSAGES,
                        message(session_id, codec, f"go [[key={codec} tokens=5 rate=200]]"),
                        key=session_id.encode(),
                        partition=shard_of(session_id, SHARDS),
                    )
                await answered(reader, codec)
        await everything_goes_on(stack, session_id, watched_s=0.0)
    finally:
        await compress(stack, "producer")


async def compress(stack: RunningStack, codec: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.file.kafka)
    await admin.start()
    try:
        for topic in topics(SHARDS, 1):
            # This replaces all of a topic's settings.
            config = topic.config | {"compression.type": codec}
            await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic.name, config)]
            )
    finally:
        await admin.close()


def strange(rng: random.Random) -> dict[str, object]:
    """A record as nobody of us would write it."""
    session_id = f"strange-{rng.randrange(1000)}"
    value = rng.choice(
        [
            None,
            b"",
            b"\xff\xfe",
            b"null",
            b"[]",
            b'"text"',
            b"{}",
            b'{"type": 7}',
            b'{"type": "of a later version"}',
            b'{"type": "user_message"}',
            b'{"type": "user_message", "session_id": "\\ud800", "message_id": "m"}',
            b'{"type": "ai_response_chunk", "session_id": null}',
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"\x00" * 1000,
            b"x" * (1024 * 1024 - 1000),
            rng.randbytes(rng.randrange(2000)),
            message(session_id, "m1", "a\x00b"),
            message(session_id, "", ""),
            message("\udcff".encode(errors="surrogatepass").hex(), "m" * 10_000, "x"),
        ]
    )
    keys = [None, b"", b"\xff\xff", session_id.encode(), b"k" * 20_000]
    key = rng.choice(keys if value is not None else keys[1:])  # the producer wants one of the two
    headers = rng.choice(
        [
            [],
            [("content-type", b"application/x-protobuf"), ("v", b"9")],
            [("", b""), ("", b"")],
            [("theirs", None)],
            [("\N{SNOWMAN}" * 500, b"\xff" * 5000)] * 40,
            [("topic", b"user_messages"), ("reason", b"\xff"), ("offset", b"-1")],
        ]
    )
    if value is not None and len(value) > 900_000:
        key, headers = b"k", []  # all together must be what a broker takes
    return {"value": value, "key": key, "headers": headers}


async def test_a_record_that_one_reader_cant_use_ends_none(
    stack: RunningStack, tell: Callable[[str], None]
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    tell(f"seed {seed}")
    rng = random.Random(seed)
    session_id = f"others-{uuid4().hex[:8]}"
    async with stranger(stack) as producer:
        for _ in range(STRANGE_RECORDS):
            record = strange(rng)
            for topic in BOTH:
                for shard in range(SHARDS):
                    await producer.send_and_wait(topic, partition=shard, **record)
    await everything_goes_on(stack, session_id)
    letters = await asyncio.to_thread(talklog, stack, "dead-letters", "list", check=False)
    assert letters.returncode == 0, letters.stderr


async def test_a_header_whose_key_is_no_utf8_ends_no_reader(stack: RunningStack) -> None:
    # A broker takes it, and aiokafka raised UnicodeDecodeError in every reader, at every start.
    session_id = f"others-{uuid4().hex[:8]}"
    theirs = message(session_id, "theirs", "go [[key=theirs tokens=5 rate=200]]")
    key, shard = session_id.encode(), shard_of(session_id, SHARDS)
    async with (
        Reader(stack.file.gateways[0].url, session_id) as reader,
        stranger(stack) as producer,
    ):
        await write_odd_keys(producer, USER_MESSAGES, shard, [theirs], key=key)
        await answered(reader, "theirs")
        cursor = next(each["cursor"] for each in reader.frames if "cursor" in each)
        for topic in BOTH:
            for each in range(SHARDS):
                odd = [b'{"type": "of others"}', b"\xff", None]
                await write_odd_keys(producer, topic, each, odd, key=key, codec="zstd")
    await everything_goes_on(stack, session_id)
    # Those who start now read it from the log: takeovers, scans, what is looked up.
    await started_again(stack, "gateway-1", "worker-1", "persister-1")
    async with Reader(stack.file.gateways[0].url, session_id, f"?cursor={cursor}") as reader:
        told = [each.get("recovered") for each in reader.frames if each["type"] == "status"]
        assert True in told, told
        await answered(reader, "theirs")
    await everything_goes_on(stack, session_id, watched_s=0.0)
    letters = await asyncio.to_thread(talklog, stack, "dead-letters", "list", check=False)
    assert letters.returncode == 0, letters.stderr
