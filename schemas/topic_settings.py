"""What of a topic's settings on the broker matters, and what is odd about those that are. Pure.

A managed cluster, or somebody who means well, changes them without a word. What breaks a rule of
the design is wrong: a compacted topic loses records from its middle, and without LogAppendTime time
in the log goes backwards. What only makes something worse is said, and nothing is refused for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from schemas.limits import ANSWER_MAX_S
from schemas.topics import DEAD_LETTERS, MAX_RECORD_BYTES, RETENTION_MS

LONGEST_ANSWER_MS = int(ANSWER_MAX_S * 1000)
AS_PRODUCED = ("producer", "uncompressed")


@dataclass(frozen=True, slots=True)
class Oddity:
    """A setting that is not as it should be, by its name and value; `wrong`: it can't work so."""

    text: str
    wrong: bool = False


def oddities(topic: str, config: Mapping[str, str], replicas: int = 1) -> list[Oddity]:
    """Give what is odd about a topic; `config` are the broker's names and values."""
    return [
        Oddity(f"topic {topic} has {name}={value}: {why}", wrong)
        for name, value, why, wrong in _found(topic, config, replicas)
    ]


def _found(
    topic: str, config: Mapping[str, str], replicas: int
) -> Iterator[tuple[str, str, str, bool]]:
    policy = config.get(name := "cleanup.policy", "delete")
    if "compact" in policy:
        yield name, policy, "expected delete: records would vanish from the middle", True
    timestamps = config.get(name := "message.timestamp.type", "LogAppendTime")
    if timestamps != "LogAppendTime":
        yield name, timestamps, "expected LogAppendTime: time in the log must go forward", True
    retention_ms = int(config.get(name := "retention.ms", "-1"))
    if 0 <= retention_ms <= LONGEST_ANSWER_MS:
        why = f"less than the longest answer takes ({LONGEST_ANSWER_MS} ms)"
        yield name, str(retention_ms), why, topic != DEAD_LETTERS
    elif 0 <= retention_ms < RETENTION_MS:
        why = f"less than {RETENTION_MS}: so long may the persister be away, and no longer"
        yield name, str(retention_ms), why, False
    largest = int(config.get(name := "max.message.bytes", str(MAX_RECORD_BYTES)))
    if largest < MAX_RECORD_BYTES:
        yield name, str(largest), f"less than {MAX_RECORD_BYTES}: large records are refused", False
    insync = int(config.get(name := "min.insync.replicas", "1"))
    if insync > replicas:
        yield name, str(insync), f"it has {replicas} replicas: nothing can be written", False
    elif replicas >= 3 and insync < 2:
        why = f"of {replicas} replicas: what was acknowledged may be lost with one broker"
        yield name, str(insync), why, False
    codec = config.get(name := "compression.type", "producer")
    if codec not in AS_PRODUCED:
        yield name, codec, "each broker compresses anew, and every reader unpacks it", False
