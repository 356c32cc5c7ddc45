"""Ends answers that no log can end any more: `error {code: lost}`.

Such an answer's last event lies in an earlier epoch, or before the log's start, and the log holds
no record that names it. That can be said only by a reader that has read both topics of the shard
to their ends; so it is looked for now and then, when there is nothing else to do.
"""

import time
from collections.abc import Mapping
from typing import Any

import structlog

from persister import metrics
from persister.answer_row import answer_of
from persister.batch import Partition, Pending
from persister.group import Group
from persister.rows import Key
from persister.store import Move, Store
from schemas.topics import SESSION_LOG, USER_MESSAGES, shard_of
from schemas.transcript import Place, is_lost

LOOK_EVERY_S = 60.0
LOOK_AGAIN_S = 5.0

log = structlog.get_logger(__name__)


class Lost:
    """Looks at each shard once in a while."""

    def __init__(self, store: Store, epoch: int, shards: int) -> None:
        self._store = store
        self._epoch = epoch
        self._shards = shards
        self._look_at: dict[int, float] = {}

    async def end_some(self, group: Group, pending: Mapping[Partition, Pending[Any]]) -> bool:
        """Look at one shard whose time has come; true if answers of it were ended.

        Raises:
            LogUnavailable, StoreUnavailable, Superseded: nothing was ended.
        """
        now_s = time.monotonic()
        for shard in {partition.shard for partition in pending}:
            both = Partition(USER_MESSAGES, shard), Partition(SESSION_LOG, shard)
            if self._look_at.get(shard, 0.0) <= now_s and all(each in pending for each in both):
                self._look_at[shard] = now_s + LOOK_AGAIN_S
                positions = {each: pending[each].position for each in both}
                ends = await group.ends(both)
                if any(positions[each] < ends[each] for each in both):
                    continue  # an unread record may name an answer: soon again
                self._look_at[shard] = now_s + LOOK_EVERY_S
                return await self._end(group, shard, positions)
        return False

    async def _end(self, group: Group, shard: int, positions: Mapping[Partition, int]) -> bool:
        starts = await group.starts(positions)
        keys = await self._lost(shard, {each.topic: at for each, at in starts.items()})
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
