"""Is a partition's reader well? Seven rules, asked in order; the first that fits decides. Pure.

A number of records says little (is 10,000 much?), so the rules ask how long the oldest record has
waited, whether the reader moves, and whether it gains on the log.

1. The reader stands after the end: the log was made anew, or lost its end.        broken
2. The log's start has passed the reader: records are gone that it never read.     broken
3. Nothing waits.                                                                  healthy
4. The oldest record has waited for half of the time the log keeps it.             broken
5. Records wait, and the group has no process.                                     broken
6. The oldest has waited longer than the group's limit: broken if the reader stands still,
   a warning if it moves.
7. Anything else is work under way.                                                healthy
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from deploy.operators.lag.sample import GroupShard, Sample
from schemas.limits import ANSWER_MAX_S
from schemas.topics import PERSISTER_GROUP, RETENTION_MS, WORKER_GROUP


class Health(IntEnum):
    """From well to broken; the number is the exit code."""

    HEALTHY = 0
    WARNING = 1
    BROKEN = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of a partition; `rule` is the number of the rule that said it."""

    health: Health
    rule: int
    reason: str


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a partition was read and written between two samples, in records a second."""

    read: float
    written: float

    def catch_up_s(self, records: int) -> float | None:
        """Seconds until nothing waits, at this pace; None: never."""
        if not records:
            return 0.0
        gain = self.read - self.written
        return records / gain if gain > 0 else None


LONGEST_WAIT_S = {
    # A message is acknowledged in order, so one answer of the longest kind holds up its partition.
    WORKER_GROUP: ANSWER_MAX_S + 60,
    PERSISTER_GROUP: 15.0,
}
RETENTION_S = RETENTION_MS / 1000


def pace(before: Sample, after: Sample, shard: GroupShard) -> Pace | None:
    """Give the pace of a partition; None if the samples can't tell."""
    old, new = before.shards.get(shard), after.shards.get(shard)
    elapsed_s = (after.at_ms - before.at_ms) / 1000
    if old is None or new is None or elapsed_s <= 0:
        return None
    if old.position is None or new.position is None:
        return None
    return Pace((new.position - old.position) / elapsed_s, (new.end - old.end) / elapsed_s)


def judge(before: Sample, after: Sample, shard: GroupShard) -> Verdict:
    """Apply the rules to what was seen of a partition at two moments."""
    standing = after.shards[shard]
    waited_s = after.seconds(shard)
    if standing.position is not None and standing.position > standing.end:
        return Verdict(Health.BROKEN, 1, "stands after the log's end: another log than it knew")
    if standing.position is not None and standing.position < standing.start:
        gone = standing.start - standing.position
        return Verdict(Health.BROKEN, 2, f"{gone} records were trimmed before they were read")
    if not standing.records:
        return Verdict(Health.HEALTHY, 3, "caught up")
    if waited_s > RETENTION_S / 2:
        return Verdict(Health.BROKEN, 4, "records are about to be trimmed unread")
    if after.members.get(shard.group) == 0:
        return Verdict(Health.BROKEN, 5, "no process of the group runs")
    return _waiting(before, after, shard, waited_s)


def _waiting(before: Sample, after: Sample, shard: GroupShard, waited_s: float) -> Verdict:
    limit_s = LONGEST_WAIT_S[shard.group]
    if waited_s <= limit_s:
        return Verdict(Health.HEALTHY, 7, "under way")
    speed = pace(before, after, shard)
    if speed is None or speed.read <= 0:
        return Verdict(
            Health.BROKEN, 6, f"stands still, the oldest waits longer than {limit_s:g} s"
        )
    return Verdict(Health.WARNING, 6, f"moves, but the oldest waits longer than {limit_s:g} s")


def worst(verdicts: list[Verdict], after: Sample) -> Health:
    """Give the health of the whole; what could not be seen is at least a warning."""
    unseen = Health.WARNING if after.notes else Health.HEALTHY
    return max([unseen, *(verdict.health for verdict in verdicts)])
