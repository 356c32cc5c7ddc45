"""One batch: records -> events -> rows -> one transaction.

Whatever goes wrong, the fold in memory is thrown away: it has taken events whose rows are not, or
perhaps not, in Postgres. The next batch reads back what it needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from persister.batch import Partition, Stretch
from persister.changes import Changes
from persister.dead_letters import Bad, DeadLetterBox
from persister.reading import BadRecord, WholeRecord, read
from persister.rows import RowFold
from persister.store import REMOVED_AT_ONCE, Move, Store
from schemas.events import SessionEvent, UserEvent

log = structlog.get_logger(__name__)

Events = list[tuple[int, int, UserEvent | SessionEvent]]
"""shard, offset, event"""


@dataclass(frozen=True, slots=True)
class Written:
    """What one transaction has done."""

    changes: Changes
    bad: int


class Writer:
    """Writes batches in order; not for use by two tasks at once."""

    def __init__(
        self, store: Store, letters: DeadLetterBox, *, epoch: int, shards: int, max_answers: int
    ) -> None:
        self._store = store
        self._letters = letters
        self._epoch = epoch
        self._shards = shards
        self._fold = RowFold(epoch, max_answers)
        self._refused: dict[tuple[Partition, int], str] = {}
        self._put: set[tuple[Partition, int]] = set()

    def forget(self) -> None:
        """Throw away what is known of running answers: others may write them now."""
        self._fold.forget()

    def refuse(self, stretch: Stretch[WholeRecord], reason: str) -> None:
        """Make a dead letter of the one record of this stretch, whenever it comes again."""
        self._refused[stretch.partition, stretch.records[0].offset] = reason

    async def write(self, stretches: Sequence[Stretch[WholeRecord]]) -> Written:
        """Store a batch, all of it or nothing.

        Raises:
            Superseded, RowRefused, StoreUnavailable: as `Store.save`.
            LogUnavailable: a bad record could not be put with the dead letters.
        """
        try:
            return await self._write(stretches)
        except BaseException:
            self._fold.forget()
            raise

    async def _write(self, stretches: Sequence[Stretch[WholeRecord]]) -> Written:
        events, bad = self._read(stretches)
        for each in bad:
            # Write the letter before the position passes the record, and only once if the
            # transaction has to be repeated.
            place = (each.partition, each.record.offset)
            if place not in self._put:
                await self._letters.put(each)
                self._put.add(place)
        keys, sessions = self._fold.unknown([event for _, _, event in events])
        if keys or sessions:
            self._fold.restore(keys, *await self._store.lookup(keys, sessions))
        changes = self._fold.fold(events)
        moves = [
            Move(stretch.partition, self._epoch, stretch.expected, stretch.next)
            for stretch in stretches
        ]
        for gone in changes.forgotten:
            # Before the transaction, which must be short: whoever is stopped in between reads the
            # same event again, and goes on with what is left.
            while await self._store.remove_some(gone, moves) == REMOVED_AT_ONCE:
                log.info("a forgotten session is long: its rows are being removed")
        await self._store.save(changes, moves)
        for each in bad:
            self._put.discard((each.partition, each.record.offset))
            self._refused.pop((each.partition, each.record.offset), None)
        return Written(changes, len(bad))

    def _read(self, stretches: Sequence[Stretch[WholeRecord]]) -> tuple[Events, list[Bad]]:
        events: Events = []
        bad: list[Bad] = []
        for stretch in stretches:
            topic, shard = stretch.partition
            for record in stretch.records:
                try:
                    if self._refused:
                        self._check(stretch.partition, record)
                    event = read(topic, shard, self._shards, record)
                except BadRecord as error:
                    bad.append(Bad(stretch.partition, record, str(error), 1))
                    continue
                if event is not None:
                    events.append((shard, record.offset, event))
        return events, bad

    def _check(self, partition: Partition, record: WholeRecord) -> None:
        if reason := self._refused.get((partition, record.offset)):
            raise BadRecord(reason)
