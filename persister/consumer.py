"""Poll, fold, save, commit: the persister's one loop.

The loop has three states: without positions (they must be read from Postgres), with nothing
pending (poll), and pending (write). Every failure leads back to the first: whatever is not known
to be stored is read again from where Postgres says that it stands.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import structlog
from aiokafka.errors import KafkaError

from persister import metrics
from persister.batch import Limit, Partition, Pending, RefusedInARow, Stretch, drop, take
from persister.group import Group
from persister.known_good import known_good_rows
from persister.lost import Lost
from persister.reading import WholeRecord
from persister.settings import PersisterSettings
from persister.store import (
    Move,
    PositionsHeld,
    RowRefused,
    Store,
    StoreNotRight,
    StoreUnavailable,
    Superseded,
)
from persister.writer import Batch, Writer
from schemas.log.log_reader import LogUnavailable
from schemas.log.reading_pace import Fetch, rest_wait_ms
from schemas.process.standstill import Seen
from schemas.topics import SESSION_LOG

BACKOFF_FIRST_S = 0.2
BACKOFF_MOST_S = 5.0
COMMIT_EVERY_S = 1.0
FIND_AGAIN_S = 5.0

log = structlog.get_logger(__name__)


class EpochBehind(Exception):
    """The rows are of a later epoch than TALKLOG_EPOCH: this process has old settings."""


class Consumer:
    """Runs until stopped; survives Kafka and Postgres being away."""

    def __init__(self, settings: PersisterSettings, store: Store, writer: Writer) -> None:
        self._settings = settings
        self._store = store
        self._writer = writer
        self._limit = Limit(settings.batch_max_records)
        self._refused_in_a_row = RefusedInARow()
        self._lost = Lost(store, settings.epoch, settings.shards)
        self._writing = asyncio.Lock()
        self._group: Group | None = None
        self._pending: dict[Partition, Pending[WholeRecord]] = {}
        self._ahead: Batch | None = None
        """The first records of what is pending, if their events were read already."""
        self._positioned: int | None = None
        self._find_at_s: float | None = None
        """When to look again for shards whose beginning nobody could say."""
        self._uncommitted: dict[Partition, int] = {}
        self._committed_at = 0.0
        self._backoff_s = BACKOFF_FIRST_S
        self._trouble: str | None = "not a member of the group yet"

    def not_ready(self) -> str | None:
        """Give the reason why rows are not being written now, or None."""
        return self._trouble

    async def seen(self) -> dict[Partition, Seen]:
        """Say where each shard is that is being read now. Raises LogUnavailable."""
        return {} if self._group is None else await self._group.seen()

    async def run(self, stop: asyncio.Event) -> None:
        """Read and write until `stop` is set. Raises EpochBehind."""
        while not stop.is_set():
            group = Group(
                self._settings.brokers(),
                self._writing,
                awake=Fetch(self._settings.fetch_min_bytes, self._settings.fetch_wait_ms),
                rest_ms=rest_wait_ms(self._settings.stall_limit_s),
            )
            try:
                await group.start()
                self._group = group
                await self._serve(group, stop)
            except (LogUnavailable, KafkaError) as error:
                await self._wait(stop, "kafka unavailable", error)
            finally:
                self._group = None
                await group.commit(self._uncommitted)
                await group.close()
                self._positioned = None

    async def _serve(self, group: Group, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._step(group)
            except Superseded as error:
                metrics.ROLLED_BACK.labels("superseded").inc()
                await self._wait(stop, "superseded", error)
            except PositionsHeld as error:
                metrics.ROLLED_BACK.labels("held").inc()
                await self._wait(stop, "positions held", error)
                with contextlib.suppress(StoreUnavailable):
                    ended = await self._store.end_stalled_writers()
                    if ended:
                        log.warning("ended stalled writers", count=ended)
            except StoreNotRight as error:
                metrics.ROLLED_BACK.labels("not_right").inc()
                metrics.STORE_NOT_RIGHT.set(1)
                log.error("the store is not right, nothing is passed", reason=str(error))
                await self._wait(stop, "the store is not right", error)
            except StoreUnavailable as error:
                metrics.ROLLED_BACK.labels("unavailable").inc()
                metrics.POSTGRES_UP.set(0)
                await self._wait(stop, "postgres unavailable", error)
            except LogUnavailable as error:
                await self._wait(stop, "kafka unavailable", error)

    async def _step(self, group: Group) -> None:
        late = self._find_at_s is not None and time.monotonic() > self._find_at_s
        if late or self._positioned != group.generation:
            await self._find_positions(group)
        if any(waiting.waits for waiting in self._pending.values()):
            await self._write(group)
            return
        records, gone = await group.poll()
        if self._positioned == group.generation:
            for partition, waiting in self._pending.items():
                waiting.records.extend(records.get(partition, ()))
                waiting.reached = group.reached(partition)
        for partition, position in gone.items():
            await self._gap(group, partition, position)
        if not records:
            await self._commit(group)
        if group.joined and not records:
            self._well()
            # After the poll: whatever becomes of this look, what has come is read.
            if await self._lost.end_some(group, self._pending):
                self._writer.forget()

    async def _find_positions(self, group: Group) -> None:
        """Read every position from Postgres; what is pending elsewhere than there is dropped."""
        generation = group.generation
        self._writer.forget()
        epoch = self._settings.epoch
        stored = await self._store.positions()
        newer = [each for each in group.assigned if each in stored and stored[each].epoch > epoch]
        if newer:
            raise EpochBehind(f"the rows are of epoch {stored[newer[0]].epoch}")
        older = [
            each for each in group.assigned if each not in stored or stored[each].epoch < epoch
        ]
        if older:
            for partition, start in (await group.starts(older)).items():
                log.debug("begins", topic=partition.topic, shard=partition.shard, offset=start)
                await self._store.begin(partition, epoch, start)
            stored = await self._store.positions()
        if group.generation != generation:
            return  # given other shards meanwhile: again
        self._pending, self._ahead = {}, None
        known = {each for each in group.assigned if each in stored and stored[each].epoch == epoch}
        without = group.assigned - known
        if without:
            log.warning("shards without a leader are left for later", count=len(without))
        self._find_at_s = time.monotonic() + FIND_AGAIN_S if without else None
        for partition in known:
            position = stored[partition].next_offset
            self._pending[partition] = Pending(position)
            self._uncommitted[partition] = position
            group.read_from(partition, position)
        self._positioned = generation
        metrics.POSTGRES_UP.set(1)

    async def _write(self, group: Group) -> None:
        began = time.monotonic()
        try:
            async with self._writing:
                ahead, self._ahead = self._ahead, None
                batch = ahead or await self._writer.read(self._taken())
                written = await self._writer.write(batch, self._taken(behind=batch.stretches))
        except RowRefused as error:
            await self._refused(batch, error)
            return
        except BaseException:
            self._positioned = None
            raise
        metrics.SAVED_S.observe(time.monotonic() - began)
        metrics.ROWS.inc(len(written.changes.chunks))
        metrics.DEAD_LETTERS.inc(len(batch.bad))
        for outcome, count in written.changes.outcomes.items():
            metrics.EVENTS.labels(outcome.name.lower()).inc(count)
        for stretch in batch.stretches:
            metrics.RECORDS.labels(stretch.partition.topic).inc(len(stretch.records))
            metrics.POSITION.labels(*stretch.partition).set(stretch.next)
        self._limit.stored()
        self._refused_in_a_row.stored(batch.records, len(batch.bad))
        metrics.STORE_NOT_RIGHT.set(0)
        self._well()
        if self._positioned == group.generation:
            drop(self._pending, batch.stretches)
            self._ahead = written.following
            moved = {stretch.partition: stretch.next for stretch in batch.stretches}
            self._uncommitted.update(moved)
        if began - self._committed_at > COMMIT_EVERY_S:
            await self._commit(group)

    def _taken(self, behind: Sequence[Stretch[WholeRecord]] = ()) -> list[Stretch[WholeRecord]]:
        limits = self._limit.records, self._settings.batch_max_bytes
        return take(self._pending, *limits, behind)

    async def _refused(self, batch: Batch, error: RowRefused) -> None:
        """Try again with fewer; one record alone is passed, if it is not the tables' fault."""
        metrics.ROLLED_BACK.labels("refused").inc()
        if self._limit.refused(batch.records):
            try:
                await self._store.try_out(known_good_rows())
            except RowRefused as fault:
                raise StoreNotRight(f"it refuses rows that are right: {fault}") from fault
            stretch = next(each for each in batch.stretches if each.records)
            if not self._refused_in_a_row.another():
                at = _where(stretch)
                raise StoreNotRight(f"it refuses one record after another, now {at}: {error}")
            log.error("record refused", reason=str(error), at=_where(stretch))
            self._writer.refuse(stretch, f"Postgres refuses it: {error}")

    async def _gap(self, group: Group, partition: Partition, position: int) -> None:
        starts, ends = await group.starts([partition]), await group.ends([partition])
        if partition not in starts or partition not in ends:
            group.read_from(partition, position)  # no leader now: the next fetch brings us here
            return
        start, end = starts[partition], ends[partition]
        if start <= position <= end:
            group.read_from(partition, position)
            return
        # Past the end: the log was made anew under the same epoch, or has lost its tail. Reading
        # all of it again is safe, because the fold knows what it has taken.
        log.error("log gap", topic=partition[0], shard=partition[1], position=position, start=start)
        metrics.GAPS.labels(partition.topic).inc()
        self._positioned = None
        move = Move(partition, self._settings.epoch, position, start)
        await self._store.note_gap(move, cuts_answers=partition.topic == SESSION_LOG)

    async def _commit(self, group: Group) -> None:
        if self._uncommitted:
            positions, self._uncommitted = self._uncommitted, {}
            await group.commit(positions)
            self._committed_at = time.monotonic()

    def _well(self) -> None:
        if self._trouble is not None:
            log.info("writing")
        self._trouble = None
        self._backoff_s = BACKOFF_FIRST_S

    async def _wait(self, stop: asyncio.Event, event: str, error: Exception) -> None:
        """Wait before the next try, longer each time, and begin it from the stored positions."""
        self._positioned = None
        self._trouble = f"{event}: {error}"
        log.warning(event, error=str(error), wait_s=self._backoff_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), self._backoff_s)
        self._backoff_s = min(BACKOFF_MOST_S, self._backoff_s * 2)


def _where(stretch: Stretch[WholeRecord]) -> str:
    return f"{stretch.partition.topic}/{stretch.partition.shard}/{stretch.records[0].offset}"
