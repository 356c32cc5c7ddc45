"""A producer on the shared log, for tests that write themselves what `talklog` is to read."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

from tests.stack import RunningStack


@pytest.fixture
async def producer(servers: RunningStack) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=servers.file.kafka, enable_idempotence=True)
    await producer.start()
    yield producer
    await producer.stop()
