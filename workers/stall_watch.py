"""Where the two readers of a worker are: its intake, and the read-back of its shards."""

from typing import Protocol

from schemas.log.log_reader import LogReader
from schemas.process.reader_watch import ReaderWatch
from schemas.process.standstill import Seen
from schemas.topics import USER_MESSAGES
from workers.intake.intake import Intake


class Committed(Protocol):
    """Knows where delivery of a shard begins."""

    def committed(self, shard: int) -> int:
        """The offset after the last one that the group has committed."""


def watches(
    intake: Intake, group: Committed, reader: LogReader, limit_s: float
) -> list[ReaderWatch[int]]:
    """Watch both readers; either alone is a worker that answers nothing."""

    async def delivered() -> dict[int, Seen]:
        shards = list(intake.membership.positions)
        if not shards:
            return {}
        starts = await reader.start_offsets(shards, USER_MESSAGES)
        ends = await reader.end_offsets(shards, USER_MESSAGES)
        return {
            # What was trimmed unread can't be delivered, and is not waited for.
            shard: Seen(
                max(group.committed(shard) if at is None else at, starts[shard]), ends[shard]
            )
            for shard, at in intake.membership.positions.items()
            if shard in ends
        }

    return [
        ReaderWatch("intake", delivered, limit_s),
        ReaderWatch("read-back", reader.seen, limit_s),
    ]
