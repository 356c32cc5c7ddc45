"""One batch: records -> events -> rows -> one transaction.

Whatever goes wrong, the fold in memory is thrown away: it has taken events whose rows are not, or
perhaps not, in Postgres. The next batch reads back what it needs.

While Postgres works on one batch, the events of the next are read: a few records a turn, so that
the rows of the first go on to Postgres in between.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

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
READ_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Batch:
    """What some stretches of the log say; `bad` are records that can't be stored."""

    stretches: Sequence[Stretch[WholeRecord]]
    events: Events = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many records there are, bad ones among them."""
        return sum(len(stretch.records) for stretch in self.stretches)


@dataclass(frozen=True, slots=True)
class Written:
    """What one transaction has done, and the batch behind it, read meanwhile."""

    changes: Changes
    following: Batch | None


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

    async def read(self, stretches: Sequence[Stretch[WholeRecord]]) -> Batch:
        """Read the events of these records, and find those that can't be stored."""
        batch = Batch(stretches)
        for stretch in stretches:
            for start in range(0, len(stretch.records), READ_AT_ONCE):
                await asyncio.sleep(0)
                records = stretch.records[start : start + READ_AT_ONCE]
                self._read(batch, stretch.partition, records)
        return batch

    async def write(self, batch: Batch, following: Sequence[Stretch[WholeRecord]] = ()) -> Written:
        """Store a batch, all of it or nothing; meanwhile read what follows it, if that is given.

        Raises:
            Superseded, RowRefused, StoreUnavailable: as `Store.save`.
            LogUnavailable: a bad record could not be put with the dead letters.
        """
        reading = asyncio.ensure_future(self.read(following)) if following else None
        try:
            changes = await self._write(batch)
            return Written(changes, None if reading is None else await reading)
        except BaseException:
            self._fold.forget()
            raise
        finally:
            if reading is not None:
                reading.cancel()

    async def _write(self, batch: Batch) -> Changes:
        for each in batch.bad:
            # Write the letter before the position passes the record, and only once if the
            # transaction has to be repeated.
            place = (each.partition, each.record.offset)
            if place not in self._put:
                await self._letters.put(each)
                self._put.add(place)
        keys, sessions = self._fold.unknown([event for _, _, event in batch.events])
        if keys or sessions:
            self._fold.restore(keys, *await self._store.lookup(keys, sessions))
        changes = self._fold.fold(batch.events)
        moves = [
            Move(stretch.partition, self._epoch, stretch.expected, stretch.next)
            for stretch in batch.stretches
        ]
        for gone in changes.forgotten:
            # Before the transaction, which must be short: whoever is stopped in between reads the
            # same event again, and goes on with what is left.
            while await self._store.remove_some(gone, moves) == REMOVED_AT_ONCE:
                log.info("a forgotten session is long: its rows are being removed")
        await self._store.save(changes, moves)
        for each in batch.bad:
            self._put.discard((each.partition, each.record.offset))
            self._refused.pop((each.partition, each.record.offset), None)
        return changes

    def _read(self, batch: Batch, partition: Partition, records: Sequence[WholeRecord]) -> None:
        topic, shard = partition
        for record in records:
            try:
                if self._refused:
                    self._check(partition, record)
                event = read(topic, shard, self._shards, record)
            except BadRecord as error:
                batch.bad.append(Bad(partition, record, str(error), 1))
                continue
            if event is not None:
                batch.events.append((shard, record.offset, event))

    def _check(self, partition: Partition, record: WholeRecord) -> None:
        if reason := self._refused.get((partition, record.offset)):
            raise BadRecord(reason)
