"""Asks the brokers for the settings of topics, for a process that starts and for operators."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from schemas.brokers import USER, Kafka, brokers_at
from schemas.log.kafka_client import Admin
from schemas.log.log_reader import CLIENT_TIMEOUT_S, LogUnavailable, answered
from schemas.topic_settings import Oddity, oddities

log = structlog.get_logger(__name__)


class TopicUnusable(LogUnavailable):
    """A setting of a topic breaks what the design rests on; the text names it and its value.

    It is a log that can't be used yet: whoever waits for a broker waits for its repair, too.
    """


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as the broker describes it; `refused` says why its settings can't be known."""

    partitions: int
    config: dict[str, str]
    replicas: int = 1
    refused: str = ""


async def described(admin: AIOKafkaAdminClient, name: str) -> Found:
    """Ask for one topic, which must exist. Raises KafkaError."""
    [topic] = await admin.describe_topics([name])
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    resources = [resource for answer in answers for resource in answer.resources]
    refused = next((for_code(each[0]).__name__ for each in resources if each[0]), "")
    config = {entry[0]: entry[1] for resource in resources for entry in resource[4]}
    replicas = min((len(each["replicas"]) for each in topic["partitions"]), default=1)
    return Found(len(topic["partitions"]), config, replicas, refused)


def about(name: str, found: Found) -> list[Oddity]:
    """Say what is odd about a topic."""
    if found.refused:
        return [Oddity(f"the settings of topic {name} can't be read: {found.refused}")]
    return oddities(name, found.config, found.replicas)


async def look_at_topics(kafka: Kafka, names: Iterable[str]) -> list[Oddity]:
    """Say what is odd about these topics; one that does not exist is. Raises LogUnavailable."""
    admin = Admin(kafka, request_timeout_ms=int(CLIENT_TIMEOUT_S * 1000))
    try:
        await answered(admin.start(), CLIENT_TIMEOUT_S)
        there = set(await answered(admin.list_topics(), CLIENT_TIMEOUT_S))
        odd = []
        for name in names:
            if name in there:
                odd += about(name, await answered(described(admin, name), CLIENT_TIMEOUT_S))
            else:
                odd.append(Oddity(f"topic {name} does not exist{_or_hidden(kafka)}"))
        return odd
    finally:
        with contextlib.suppress(LogUnavailable, KafkaError):
            await answered(admin.close())


def _or_hidden(kafka: Kafka) -> str:
    brokers = brokers_at(kafka)
    return f", or {USER}={brokers.user!r} may not know of it" if brokers.sasl else ""


async def check_topics(kafka: Kafka, names: Iterable[str]) -> None:
    """Log what is odd about the topics, at a process's start.

    Raises:
        TopicUnusable: a setting that can't work.
        LogUnavailable: no broker answered.
    """
    found = await look_at_topics(kafka, names)
    for oddity in found:
        if not oddity.wrong:
            log.warning("a topic's settings are odd", what=oddity.text)
    if wrong := [oddity.text for oddity in found if oddity.wrong]:
        raise TopicUnusable("; ".join(wrong))
