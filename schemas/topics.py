"""The topics, and the one function that says where a session lives.

Both session topics are keyed by session_id and have the same number of partitions, so one session
is one partition is one order, with the same number in both: its shard.
"""

from dataclasses import dataclass
from typing import NamedTuple

USER_MESSAGES = "user_messages"
SESSION_LOG = "ai_response_chunks"
DEAD_LETTERS = "dead_letters"

WORKER_GROUP = "talklog-workers"
PERSISTER_GROUP = "talklog-persister"

CANARY_SESSION = "talklog-canary-"
"""What the id of a gateway's own session begins with; nobody talks in it."""

MAX_RECORD_BYTES = 1024 * 1024
RETENTION_MS = 7 * 24 * 3600 * 1000

Headers = list[tuple[str, bytes]]
HEADERS: tuple[tuple[str, bytes], ...] = (("content-type", b"application/json"), ("v", b"1"))
"""Headers of every record; a `traceparent` joins them where there is one."""


class Entry(NamedTuple):
    """A record as it is handed to a producer, of a topic and a shard that are known."""

    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Topic:
    """What a topic must look like; `config` are the broker's names and values."""

    name: str
    partitions: int
    config: dict[str, str]


def topics(shards: int, min_insync: int) -> tuple[Topic, ...]:
    """Give the three topics of an installation with so many shards."""
    config = {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(RETENTION_MS),
        "max.message.bytes": str(MAX_RECORD_BYTES),
        "min.insync.replicas": str(min_insync),
        "cleanup.policy": "delete",
    }
    return (
        Topic(USER_MESSAGES, shards, config),
        Topic(SESSION_LOG, shards, config),
        Topic(DEAD_LETTERS, 1, config),
    )


def shard_of(session_id: str, shards: int) -> int:
    """Give the shard (partition) of a session: murmur2 of the key, as Kafka clients do."""
    return (murmur2(session_id.encode()) & 0x7FFFFFFF) % shards


def murmur2(data: bytes) -> int:
    """MurmurHash2 (32 bit) with the seed of Kafka's default partitioner, as an unsigned number."""
    mask = 0xFFFFFFFF
    factor = 0x5BD1E995
    length = len(data)
    value = 0x9747B28C ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        part = int.from_bytes(data[start : start + 4], "little") * factor & mask
        part = (part ^ part >> 24) * factor & mask
        value = value * factor & mask ^ part
    if length > whole:
        value = (value ^ int.from_bytes(data[whole:], "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15
