"""What each tier may do in Kafka, as few ACLs as it works with. Pure.

A right to read or write says also that somebody may know of the topic. Nobody may delete, and only
who makes topics may make them: `admin` has no line here, the brokers know it as a super user.

A gateway may not write into the session log, so none can forge an answer. Its canary needs no right
for itself: with these it begins behind what is read of the log (`TALKLOG_CANARY_WAY=tail`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from schemas.topics import (
    DEAD_LETTERS,
    PERSISTER_GROUP,
    SESSION_LOG,
    USER_MESSAGES,
    WORKER_GROUP,
)

Resource: TypeAlias = Literal["topic", "group"]
Operation: TypeAlias = Literal["Read", "Write", "Describe", "DescribeConfigs"]


@dataclass(frozen=True, slots=True)
class Right:
    """One ACL: from any host, for a resource of exactly this name."""

    principal: str
    resource: Resource
    name: str
    operation: Operation


READS: tuple[Operation, ...] = ("Read", "DescribeConfigs")
WRITES: tuple[Operation, ...] = ("Write", "DescribeConfigs")

_OF: Mapping[str, Sequence[tuple[Resource, str, tuple[Operation, ...]]]] = {
    "gateway": (
        ("topic", USER_MESSAGES, WRITES),
        ("topic", SESSION_LOG, READS),
    ),
    "worker": (
        ("topic", USER_MESSAGES, READS),
        ("topic", SESSION_LOG, (*READS, "Write")),
        ("topic", DEAD_LETTERS, ("Write",)),
        ("group", WORKER_GROUP, ("Read",)),
    ),
    "persister": (
        ("topic", USER_MESSAGES, READS),
        ("topic", SESSION_LOG, READS),
        ("topic", DEAD_LETTERS, ("Write",)),
        ("group", PERSISTER_GROUP, ("Read",)),
    ),
    # Reads all, puts dead letters back (`talklog dead-letters redrive`), and writes into the
    # session log that a session is forgotten (`talklog forget`).
    "operator": (
        ("topic", USER_MESSAGES, (*READS, "Write")),
        ("topic", SESSION_LOG, (*READS, "Write")),
        ("topic", DEAD_LETTERS, (*READS, "Write")),
        ("group", WORKER_GROUP, ("Describe",)),
        ("group", PERSISTER_GROUP, ("Describe",)),
    ),
}
TIERS = tuple(_OF)


def rights(prefix: str = "talklog-") -> Iterator[Right]:
    """Give every ACL, for users that are called like their tiers behind the prefix."""
    for tier, resources in _OF.items():
        for resource, name, operations in resources:
            for operation in operations:
                yield Right(f"User:{prefix}{tier}", resource, name, operation)
