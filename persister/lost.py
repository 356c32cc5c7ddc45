"""Ends answers that no log can end any more: `error {code: lost}`.

Such an answer's last event lies in an earlier epoch, or before the log's start, and the log holds
no record that names it. That can be said only by a reader that has read both topics of the shard
to their ends; so it is looked for now and then, when there is nothing else to do.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import structlog

from persister import metrics
from persister.answer_row import answer_of
from persister.batch import Partition, Pending
from persister.changes import Key
from persister.store import Move, Store
from schemas.log.log_reader import LogUnavailable
from schemas.topics import SESSION_LOG, USER_MESSAGES, shard_of
from schemas.transcript import Place, is_lost

LOOK_EVERY_S = 60.0
LOOK_AGAIN_S = 5.0
LOOK_AT_BUSY_S = 600.0
"""A shard in which something comes all the time is not asked for; but not for ever."""

log = structlog.get_logger(__name__)


Positions = Mapping[Partition, int]


class Asked(Protocol):
    """Knows the log's ends and starts; of shards without a leader it gives none."""

    async def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]: ...  # noqa: D102
    async def starts(self, partitions: Iterable[Partition]) -> dict[Partition, int]: ...  # noqa: D102


class Lost:
    """Looks at each shard once in a while.

    One question for all shards whose time has come, and a shard that can't be asked about (it has
    no leader) waits longer each time: it must hold up neither its neighbours nor the reading.
    """

    def __init__(
        self, store: Store, epoch: int, shards: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._epoch = epoch
        self._shards = shards
        self._clock = clock
        self._look_at: dict[int, float] = {}
        self._again_s: dict[int, float] = {}
        self._positions: dict[int, Positions] = {}
        self._busy_since: dict[int, float] = {}

    async def end_some(self, group: Asked, pending: Mapping[Partition, Pending[Any]]) -> bool:
        """Look at shards whose time has come; true if answers were ended.

        Raises:
            StoreUnavailable, Superseded: nothing was ended in the shard that was looked at.
        """
        due = self._due(pending)
        if not due:
            return False
        try:
            asked = [each for positions in due.values() for each in positions]
            ends, starts = await group.ends(asked), await group.starts(asked)
        except LogUnavailable as error:
            log.warning("the log does not say where it ends", error=str(error))
            ends = starts = {}
        for shard, positions in due.items():
            if any(each not in ends or each not in starts for each in positions):
                self._look_later(shard)
            elif all(at >= ends[each] for each, at in positions.items()):
                self._again_s.pop(shard, None)
                self._look_at[shard] = self._clock() + LOOK_EVERY_S
                if await self._end(shard, positions, starts):
                    return True
            # Else an unread record may name an answer: soon again.
        return False

    def _due(self, pending: Mapping[Partition, Pending[Any]]) -> dict[int, Positions]:
        """Give the positions of the quiet shards whose time has come, and put them off a while."""
        now_s = self._clock()
        due: dict[int, Positions] = {}
        for shard in {partition.shard for partition in pending}:
            both = Partition(USER_MESSAGES, shard), Partition(SESSION_LOG, shard)
            if self._look_at.get(shard, 0.0) > now_s or any(each not in pending for each in both):
                continue
            positions = {each: pending[each].position for each in both}
            busy_since_s = self._busy_since.setdefault(shard, now_s)
            quiet = self._positions.get(shard) == positions
            self._positions[shard] = positions
            if quiet or now_s - busy_since_s > LOOK_AT_BUSY_S:
                del self._busy_since[shard]
                self._look_at[shard] = now_s + LOOK_AGAIN_S
                due[shard] = positions
        return due

    def _look_later(self, shard: int) -> None:
        again_s = self._again_s.get(shard, LOOK_AGAIN_S)
        self._look_at[shard] = self._clock() + again_s
        self._again_s[shard] = min(2 * again_s, LOOK_EVERY_S)

    async def _end(self, shard: int, positions: Positions, starts: Mapping[Partition, int]) -> bool:
        keys = await self._lost(shard, {each.topic: starts[each] for each in positions})
        if keys:
            moves = [Move(each, self._epoch, at, at) for each, at in positions.items()]
            await self._store.end_lost(keys, moves)
            metrics.LOST.inc(len(keys))
            log.error("answers lost", shard=shard, count=len(keys))
        return bool(keys)

    async def _lost(self, shard: int, starts: Mapping[str, int]) -> list[Key]:
        start = Place(self._epoch, starts[SESSION_LOG])
        asked_start = Place(self._epoch, starts[USER_MESSAGES])
        keys: list[Key] = []
        after: Key = ("", "")
        while rows := await self._store.open_before(self._epoch, shard, start.offset, after):
            after = (rows[-1]["session_id"], rows[-1]["message_id"])
            for row in rows:
                if shard_of(row["session_id"], self._shards) != shard:
                    continue
                answer = answer_of(row)
                asked_at = Place(row["asked_epoch"] or 0, row["asked_offset"] or 0)
                named = answer.named_at >= start or asked_at >= asked_start
                if is_lost(answer.message, self._epoch, start.offset, named):
                    keys.append((answer.session_id, answer.message.message_id))
        return keys
