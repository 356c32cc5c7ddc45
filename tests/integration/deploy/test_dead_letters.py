"""`talklog dead-letters` against a real log, which the test writes itself."""

import json
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.operators.dead_letters.again import new_id
from schemas.events import UserMessage, decode_user_event, encode
from schemas.log.dead_letter import VALUE_MAX_BYTES, dead_letter
from schemas.topics import DEAD_LETTERS, HEADERS, USER_MESSAGES, shard_of
from tests.stack import RunningStack, talklog

pytestmark = pytest.mark.stack

SHARDS = 8


@pytest.fixture
def session() -> str:
    return f"letters-{uuid.uuid4().hex[:8]}"


async def write(
    producer: AIOKafkaProducer, session: str, value: bytes, reason: str, topic: str = USER_MESSAGES
) -> str:
    """Put a dead letter and give its number."""
    headers = [
        *HEADERS,
        ("topic", topic.encode()),
        ("partition", str(shard_of(session, SHARDS)).encode()),
        ("offset", str(uuid.uuid4().int % 10**9).encode()),
        ("reason", reason.encode()),
        ("tries", b"3"),
    ]
    lies = await producer.send_and_wait(DEAD_LETTERS, value, session.encode(), headers=headers)
    return f"{lies.partition}.{lies.offset}"


async def said(servers: RunningStack, session: str) -> list[bytes]:
    """What `user_messages` holds of a session."""
    partition = TopicPartition(USER_MESSAGES, shard_of(session, SHARDS))
    consumer = AIOKafkaConsumer(bootstrap_servers=servers.file.kafka, auto_offset_reset="none")
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, (await consumer.beginning_offsets([partition]))[partition])
        found = []
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                found += [each.value for each in records if each.key == session.encode()]
        return found
    finally:
        await consumer.stop()


async def test_a_letter_is_listed_shown_and_redriven_once(
    servers: RunningStack, producer: AIOKafkaProducer, session: str
) -> None:
    message = UserMessage(
        session_id=session, message_id="m1", created_at="2026-01-01T00:00:00.000Z", content="hello"
    )
    number = await write(producer, session, encode(message), "retries_exhausted")
    listed = talklog(servers, "dead-letters", "list", "--format", "json").stdout.splitlines()
    [told] = [each for each in map(json.loads, listed) if each["letter"] == number]
    assert (told["session_id"], told["message_id"]) == (session, "m1")
    assert told["redriven_as"] is None
    assert '"content": "hello"' in talklog(servers, "dead-letters", "show", number).stdout
    talklog(servers, "dead-letters", "redrive", number, "--dry-run")
    assert await said(servers, session) == []
    talklog(servers, "dead-letters", "redrive", number)
    again = talklog(servers, "dead-letters", "redrive", number)
    assert "redriven already" in again.stdout
    [value] = await said(servers, session)
    event = decode_user_event(value)
    assert event is not None
    assert event.message_id == new_id(session, "m1")


async def test_what_may_not_go_back_is_refused_with_the_reason(
    servers: RunningStack, producer: AIOKafkaProducer, session: str
) -> None:
    of_workers = await write(producer, session, b"\xff", "not an event", "ai_response_chunks")
    unread = await write(producer, session, b"\xff", "not an event")
    refused = talklog(servers, "dead-letters", "redrive", of_workers, unread, check=False)
    assert refused.returncode == 1
    assert "by hand" in refused.stdout
    assert "--force" in refused.stdout
    assert await said(servers, session) == []
    talklog(servers, "dead-letters", "redrive", unread, "--force")
    talklog(servers, "dead-letters", "redrive", unread, "--force")
    assert await said(servers, session) == [b"\xff"]


async def test_a_large_original_is_read_again_where_it_lay(
    servers: RunningStack, producer: AIOKafkaProducer, session: str
) -> None:
    # The letter has its head, size and hash: what was redriven was a record that nobody can read.
    message = UserMessage(
        session_id=session,
        message_id="m1",
        created_at="2026-01-01T00:00:00.000Z",
        content="x" * 2 * VALUE_MAX_BYTES,
    )
    shard, value = shard_of(session, SHARDS), encode(message)
    lies = await producer.send_and_wait(
        USER_MESSAGES, value, session.encode(), partition=shard, headers=list(HEADERS)
    )
    numbers = []
    # The second one is of another record than now lies at its place.
    for original in (value, value[:-2] + b" }"):
        made = dead_letter(
            USER_MESSAGES,
            shard,
            lies.offset,
            key=session.encode(),
            value=original,
            headers=HEADERS,
            reason="retries_exhausted",
            tries=3,
        )
        put = await producer.send_and_wait(DEAD_LETTERS, made.value, made.key, headers=made.headers)
        numbers.append(f"{put.partition}.{put.offset}")
    assert '"message_id": "m1"' in talklog(servers, "dead-letters", "show", numbers[0]).stdout
    refused = talklog(servers, "dead-letters", "redrive", numbers[1], check=False)
    assert refused.returncode == 1
    assert "another record" in refused.stdout
    talklog(servers, "dead-letters", "redrive", numbers[0])
    again = decode_user_event((await said(servers, session))[-1])
    assert isinstance(again, UserMessage)
    assert (again.message_id, again.content) == (new_id(session, "m1"), message.content)


async def test_a_large_original_that_is_gone_is_a_clear_error(
    servers: RunningStack, producer: AIOKafkaProducer, session: str
) -> None:
    made = dead_letter(
        USER_MESSAGES,
        shard_of(session, SHARDS),
        10**12,
        key=session.encode(),
        value=b"x" * 2 * VALUE_MAX_BYTES,
        headers=HEADERS,
        reason="not an event",
        tries=1,
    )
    put = await producer.send_and_wait(DEAD_LETTERS, made.value, made.key, headers=made.headers)
    number = f"{put.partition}.{put.offset}"
    refused = talklog(servers, "dead-letters", "redrive", number, "--force", check=False)
    assert refused.returncode == 1
    assert f"of {2 * VALUE_MAX_BYTES} bytes, and user_messages." in refused.stdout
    shown = talklog(servers, "dead-letters", "show", number)
    assert "is gone" in shown.stderr


def test_usage_and_letters_that_are_not_there(servers: RunningStack) -> None:
    for arguments, code in ([], 2), (["0.1", "--all"], 2), (["x"], 2), (["0.999999"], 1):
        done = talklog(servers, "dead-letters", "redrive", *arguments, check=False)
        assert done.returncode == code, done.stderr
        assert done.stderr.startswith("dead-letters: ")
