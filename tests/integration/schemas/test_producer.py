"""The one producer on a real Kafka: what a failed send costs, and what is left of it."""

import asyncio
import os
import time
from uuid import uuid4

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas.log.producer import BATCH_MAX_BYTES, LogProducer, SendFailed
from schemas.topics import USER_MESSAGES, Entry
from tests.stack import RunningStack

LIMIT_S = 1.0
DEADLINE_S = 40.0


def connections() -> int:
    """Sockets of this process that are connected."""
    found = psutil.Process(os.getpid()).net_connections("tcp")
    return sum(each.status == psutil.CONN_ESTABLISHED for each in found)


async def until_acknowledged(producer: LogProducer, key: bytes) -> int:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return await producer.send(USER_MESSAGES, 0, key, b"{}")
        except SendFailed:
            assert time.monotonic() < deadline, "never acknowledged"


async def test_a_send_gives_the_records_offset(servers: RunningStack) -> None:
    key = uuid4().hex.encode()
    async with LogProducer(servers.file.kafka, linger_ms=0) as producer:
        first = await producer.send(USER_MESSAGES, 0, key, b"{}", [("name", b"value")])
        assert await producer.send(USER_MESSAGES, 0, key, b"{}") == first + 1
    partition = TopicPartition(USER_MESSAGES, 0)
    async with AIOKafkaConsumer(bootstrap_servers=servers.file.kafka) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, first)
        record = await consumer.getone()
    assert (record.key, record.headers) == (key, (("name", b"value"),))


async def records_of(servers: RunningStack, first: int, count: int) -> list[ConsumerRecord]:
    partition = TopicPartition(USER_MESSAGES, 0)
    found: list[ConsumerRecord] = []
    async with AIOKafkaConsumer(bootstrap_servers=servers.file.kafka) as consumer:
        consumer.assign([partition])
        consumer.seek(partition, first)
        while len(found) < count:
            found.append(await consumer.getone())
    return found


async def test_a_batch_stands_together_and_in_order(servers: RunningStack) -> None:
    entries = [Entry(b"%d" % n, b"{}", [("n", b"%d" % n)]) for n in range(50)]
    async with LogProducer(servers.file.kafka, linger_ms=0) as producer:
        sends = [producer.send_batch(USER_MESSAGES, 0, entries)]
        sends += [producer.send(USER_MESSAGES, 0, b"alone", b"{}") for _ in range(5)]
        first, *_ = await asyncio.gather(*sends)
    found = await records_of(servers, first, 50)
    assert [Entry(each.key, each.value, list(each.headers)) for each in found] == entries


async def test_a_batch_over_the_bound_is_refused_and_its_producer_goes_on(
    servers: RunningStack,
) -> None:
    large = [Entry(b"key", b"x" * (BATCH_MAX_BYTES // 2 + 1), []) for _ in range(2)]
    async with LogProducer(servers.file.kafka, linger_ms=0) as producer:
        with pytest.raises(ValueError, match="2 records"):
            await producer.send_batch(USER_MESSAGES, 0, large)
        assert await producer.send_batch(USER_MESSAGES, 0, large[:1]) >= 0
        assert producer.replaced == 0


async def test_batches_that_fail_replace_the_producer_once(servers: RunningStack) -> None:
    entries = [Entry(b"key", b"{}", [])]
    async with LogProducer(servers.file.kafka, linger_ms=0, send_timeout_s=LIMIT_S) as producer:
        await producer.send_batch(USER_MESSAGES, 0, entries)
        servers.hold("kafka")
        try:
            results = await asyncio.gather(
                *(producer.send_batch(USER_MESSAGES, shard % 4, entries) for shard in range(20)),
                return_exceptions=True,
            )
            assert all(isinstance(result, SendFailed) for result in results)
            assert producer.replaced == 1
        finally:
            servers.let_go("kafka")
        await until_acknowledged(producer, b"key")
        assert await producer.send_batch(USER_MESSAGES, 0, entries) > 0


async def test_who_only_begins_is_ready_when_there_is_a_connection(servers: RunningStack) -> None:
    producer = LogProducer(servers.file.kafka, linger_ms=0)
    producer.begin()
    assert await producer.send(USER_MESSAGES, 0, b"key", b"{}") >= 0
    await producer.aclose()
    with pytest.raises(SendFailed):
        await producer.send(USER_MESSAGES, 0, b"key", b"{}")


async def test_after_a_failed_send_the_next_producer_sends_and_nothing_stays_of_the_old_one(
    servers: RunningStack,
) -> None:
    """A broker that stands still, longer than a send is waited for.

    aiokafka's `stop()` waits for it as well. Cancelled, it left its sender task and its sockets.
    """
    failed = 0

    def count() -> None:
        nonlocal failed
        failed += 1

    tasks, sockets = len(asyncio.all_tasks()), connections()
    async with LogProducer(
        servers.file.kafka, linger_ms=0, send_timeout_s=LIMIT_S, on_failed=count
    ) as producer:
        await producer.send(USER_MESSAGES, 0, b"key", b"{}")
        servers.hold("kafka")
        try:
            began = time.monotonic()
            # Many are under way when it happens: it is one failure of one producer.
            results = await asyncio.gather(
                *(producer.send(USER_MESSAGES, 0, b"key", b"{}") for _ in range(20)),
                return_exceptions=True,
            )
            assert all(isinstance(result, SendFailed) for result in results)
            assert time.monotonic() - began < 3 * LIMIT_S
            assert (producer.replaced, failed) == (1, 20)
        finally:
            servers.let_go("kafka")
        first = await until_acknowledged(producer, b"key")
        assert await producer.send(USER_MESSAGES, 0, b"key", b"{}") > first
    deadline = time.monotonic() + DEADLINE_S
    while len(asyncio.all_tasks()) > tasks or connections() > sockets:
        assert time.monotonic() < deadline, [str(task) for task in asyncio.all_tasks()]
        await asyncio.sleep(0.1)


async def test_a_start_without_a_broker_is_an_error_and_a_send_has_its_time_out() -> None:
    nowhere = LogProducer("127.0.0.1:1", linger_ms=0, send_timeout_s=LIMIT_S)
    with pytest.raises(Exception, match="bootstrap"):
        async with nowhere:
            pass
    began = time.monotonic()
    with pytest.raises(SendFailed):
        await nowhere.send(USER_MESSAGES, 0, b"key", b"{}")
    assert LIMIT_S * 0.9 < time.monotonic() - began < 5 * LIMIT_S
    await nowhere.aclose()
