"""Make the topics, and check that those that exist are what the design rests on.

A topic with other partitions would send sessions elsewhere, one without LogAppendTime would let
time in the log go backwards, and one with a short retention could forget a running answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.brokers import Kafka
from schemas.log.kafka_client import Admin
from schemas.log.topic_check import Found, about, described
from schemas.topic_settings import Oddity
from schemas.topics import Topic, topics

REQUEST_S = 10.0
SEEN_WITHIN_S = 20.0
SEEN_RETRY_S = 0.1


class TopicsUnusable(Exception):
    """The topics could not be made or read."""


async def brokers_up(kafka: Kafka) -> int:
    """How many brokers take part in the cluster now."""
    async with connected(kafka) as admin:
        return len((await admin.describe_cluster())["brokers"])


async def make(kafka: Kafka, shards: int, *, replication: int) -> bool:
    """Make the topics that are missing; True if the session log was made just now.

    Raises:
        TopicsUnusable: the brokers refused, or did not answer in time.
    """
    wanted = topics(shards, 2 if replication >= 3 else 1)
    async with connected(kafka) as admin:
        there = set(await admin.list_topics())
        missing = [topic for topic in wanted if topic.name not in there]
        new = [NewTopic(t.name, t.partitions, replication, topic_configs=t.config) for t in missing]
        if new:
            answer = await admin.create_topics(new)
            for name, code, *_ in answer.topic_errors:
                # Another stack may have made it a moment ago: that is as good.
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise TopicsUnusable(f"topic {name} was refused: {for_code(code).__name__}")
        return any(topic.partitions == shards for topic in missing)


async def exist(kafka: Kafka) -> bool:
    """Whether any of the topics is there."""
    async with connected(kafka) as admin:
        names = {topic.name for topic in topics(1, 1)}
        return bool(names.intersection(await admin.list_topics()))


async def partitions_of(kafka: Kafka, name: str) -> int:
    """How many partitions the topic has; 0 if there is no such topic. Raises TopicsUnusable."""
    async with connected(kafka) as admin:
        if name not in await admin.list_topics():
            return 0
        [described] = await admin.describe_topics([name])
        return len(described["partitions"])


async def problems(kafka: Kafka, shards: int) -> list[Oddity]:
    """Everything about the topics that is not as it should be."""
    wanted = topics(shards, 1)
    async with connected(kafka) as admin:
        there = set(await admin.list_topics())
        found = {
            topic.name: await described(admin, topic.name)
            for topic in wanted
            if topic.name in there
        }
    return [odd for topic in wanted for odd in differences(topic, found.get(topic.name))]


async def fit(kafka: Kafka, shards: int, *, new: bool) -> list[str]:
    """Give what is odd about the topics, and `new` ones a while until every broker knows them.

    Each broker answers from its own copy of the cluster's metadata: of three, one may not know yet
    what was made a moment ago.

    Raises:
        TopicsUnusable: they are not as they must be, or the brokers did not answer.
    """
    deadline = time.monotonic() + (SEEN_WITHIN_S if new else 0.0)
    while True:
        odd = await problems(kafka, shards)
        wrong = [each.text for each in odd if each.wrong]
        if not wrong:
            return [each.text for each in odd]
        if time.monotonic() >= deadline:
            raise TopicsUnusable("; ".join(wrong))
        await asyncio.sleep(SEEN_RETRY_S)


def differences(wanted: Topic, found: Found | None) -> list[Oddity]:
    """What is not as it should be with one topic, in words."""
    if found is None:
        return [Oddity(f"topic {wanted.name} does not exist", wrong=True)]
    odd = about(wanted.name, found)
    if found.partitions != wanted.partitions:
        expected = f"{found.partitions} partitions, expected {wanted.partitions}"
        odd.insert(0, Oddity(f"topic {wanted.name} has {expected}", wrong=True))
    return odd


@asynccontextmanager
async def connected(kafka: Kafka) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for a few questions, given up when the brokers don't answer."""
    admin = Admin(kafka, request_timeout_ms=int(REQUEST_S * 1000))
    try:
        async with asyncio.timeout(2 * REQUEST_S):
            await admin.start()
            yield admin
    except (KafkaError, TimeoutError, OSError) as error:
        raise TopicsUnusable(
            f"Kafka at {kafka}: {type(error).__name__} {error}".rstrip()
        ) from error
    finally:
        async with asyncio.timeout(REQUEST_S):
            await admin.close()
