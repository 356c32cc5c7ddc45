"""What was seen at one moment: for each group and partition where it is, and where the log is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class GroupShard:
    """One partition as one group reads it."""

    group: str
    topic: str
    shard: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One partition at one moment.

    `start` and `end` are the log's first offset and the one after its last record. `position` is
    the next record that the group needs, None if it has never said. `committed` is what the group
    told Kafka, and `oldest_ms` the log-append time of the record at the position, if one waits.
    `no_record_waits`: the offsets up to the end hold none (a transaction's marker, a hole).
    """

    start: int
    end: int
    position: int | None
    committed: int | None
    oldest_ms: int | None
    no_record_waits: bool = False

    @property
    def records(self) -> int:
        """Records that wait for the group."""
        if self.no_record_waits:
            return 0
        position = self.start if self.position is None else self.position
        return max(self.end - max(position, self.start), 0)


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything seen at `at_ms` (Unix time, milliseconds).

    `members` is how many processes each group has (none in the mapping: it could not be asked),
    `notes` what could not be seen, in words.
    """

    at_ms: int
    shards: Mapping[GroupShard, Standing]
    members: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def seconds(self, shard: GroupShard) -> float:
        """How long the oldest record that waits has waited; 0 if none does."""
        oldest = self.shards[shard].oldest_ms
        return 0.0 if oldest is None else max(self.at_ms - oldest, 0) / 1000
