"""`talklog rebuild`: the tables once more from the log, compared, and swapped in if they differ.

The new tables are filled beside those in use, by the persister's own writer, up to the positions
of those in use; then the writers are held for the moment of the comparison (a waiting persister
tries again by itself). The swap moves tables between schemas, so it is one moment however many rows
there are. It is refused where the log no longer holds everything: what it has let go of is in
the tables alone. And where others have hung something on the tables (views, indexes, triggers,
publications): it would go with the old ones, so it is named, and `--drop-foreign` says that it may.

Exit codes: 0 the tables are what the log says (they were, or they are now), 1 they are not, or it
could not be found out, 2 settings, 3 a rebuild runs already.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from deploy.operators.rebuild.shadow_tables import (
    AlreadyRunning,
    Difference,
    Positions,
    ShadowFailed,
    ShadowTables,
)
from deploy.operators.tooling.installation import Installation, NoInstallation, find
from deploy.operators.tooling.leaving import leave
from deploy.operators.tooling.log_range import FETCH_BYTES, LogRanges, one_ahead
from deploy.operators.tooling.progress import Progress
from deploy.operators.topics import TopicsUnusable, partitions_of
from persister.batch import BATCH_MAX_RECORDS, Limit, Partition, Pending, Stretch, drop, take
from persister.dead_letters import Bad
from persister.reading import WholeRecord
from persister.store import RowRefused, Store, StoreUnavailable
from persister.timeouts import TIMEOUTS
from persister.writer import Batch, Writer
from schemas.log.log_reader import LogUnavailable
from schemas.log.log_scan import RangeTrimmed
from schemas.process.exit_codes import EXIT_FAILED, EXIT_RUNS_ALREADY, EXIT_SETTINGS
from schemas.topics import SESSION_LOG, USER_MESSAGES

_leave = functools.partial(leave, "rebuild")
_Pending = dict[Partition, Pending[WholeRecord]]

MAX_ANSWERS = 100_000


class RebuildRefused(Exception):
    """The log no longer holds everything, or too much would go; the tables are left as they are."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was found, and whether the new tables are in use now."""

    records: int
    differences: list[Difference]
    swapped: bool


def rebuild(
    compare: Annotated[
        bool, typer.Option("--compare", help="only compare: leave the tables as they are")
    ] = False,
    drop_foreign: Annotated[
        bool,
        typer.Option("--drop-foreign", help="also where others' views, indexes or triggers go"),
    ] = False,
) -> None:
    """Make the persister's tables anew from the log, compare, and use the new ones."""
    try:
        result = asyncio.run(_rebuild(find(os.environ), swap=not compare, foreign=drop_foreign))
    except NoInstallation as error:
        _leave(str(error), EXIT_SETTINGS)
    except AlreadyRunning as error:
        _leave(str(error), EXIT_RUNS_ALREADY)
    except RebuildRefused as error:
        _leave(f"refused: {error}\nThe tables are as they were.", EXIT_FAILED)
    except (
        LogUnavailable,
        RangeTrimmed,
        ShadowFailed,
        StoreUnavailable,
        TopicsUnusable,
    ) as error:
        _leave(str(error), EXIT_FAILED)
    else:
        for each in result.differences:
            shown = ", ".join(each.examples)
            print(f"{each.table}: {each.rows:,} rows {each.side}, for instance {shown}")
        print(_verdict(result))
        if result.differences and not result.swapped:
            raise typer.Exit(EXIT_FAILED)


def _verdict(result: Result) -> str:
    read = f"{result.records:,} records read again"
    if not result.differences:
        return f"{read}: the tables are what the log says"
    if result.swapped:
        return f"{read}: the tables differed; the new ones are in use"
    return f"{read}: the tables differ; left as they are"


async def _rebuild(installation: Installation, *, swap: bool, foreign: bool) -> Result:
    kafka, epoch = installation.need_kafka(), installation.need_epoch()
    dsn = installation.need_postgres()
    shards = await partitions_of(kafka, SESSION_LOG)
    tables = await asyncio.to_thread(ShadowTables, dsn)
    try:
        async with LogRanges(kafka) as log:
            await _refuse_if_trimmed(log, shards)
            older = await asyncio.to_thread(tables.rows_of_older_epochs, epoch)
            if older:
                raise RebuildRefused(f"{older:,} rows are of earlier epochs, whose log is gone")
            await asyncio.to_thread(tables.make)
            if swap and not foreign:
                await _refuse_if_others_would_lose(tables)
            # As behind a pooler, whether there is one or not: what is set is a transaction's.
            store = Store(dsn, TIMEOUTS, tables.shadow, pooled=True)
            filling = _Filling(log, store, epoch, shards)
            try:
                return await _fill_and_compare(filling, tables, swap=swap, foreign=foreign)
            finally:
                await filling.store.close()
    finally:
        await asyncio.to_thread(tables.close)


async def _refuse_if_trimmed(log: LogRanges, shards: int) -> None:
    for topic in (USER_MESSAGES, SESSION_LOG):
        starts = await log.starts(topic, range(shards))
        trimmed = {shard: start for shard, start in starts.items() if start > 0}
        if trimmed:
            shard, start = next(iter(trimmed.items()))
            raise RebuildRefused(f"{topic}/{shard} no longer holds what lies before offset {start}")


async def _refuse_if_others_would_lose(tables: ShadowTables) -> None:
    if found := await asyncio.to_thread(tables.foreign_objects):
        listed = "".join(f"\n  {each}" for each in found)
        raise RebuildRefused(
            f"the swap would drop what is not of these tables:{listed}\n"
            "--drop-foreign goes on without it; --compare only compares"
        )


async def _fill_and_compare(
    filling: _Filling, tables: ShadowTables, *, swap: bool, foreign: bool
) -> Result:
    # Most is read while the writers go on. They wait only while the little is read that they wrote
    # meanwhile.
    await filling.up_to(await asyncio.to_thread(tables.positions))
    await asyncio.to_thread(tables.hold_writers)
    await filling.up_to(await asyncio.to_thread(tables.positions))
    differences = await asyncio.to_thread(tables.differences)
    if differences and swap:
        await _refuse_if_trimmed(filling.log, filling.shards)
        if not foreign:
            await _refuse_if_others_would_lose(tables)  # it may be new
        await asyncio.to_thread(tables.swap)
    return Result(filling.records, differences, bool(differences) and swap)


class _Filling:
    """Fills the new tables from the log's start."""

    def __init__(self, log: LogRanges, store: Store, epoch: int, shards: int) -> None:
        self.log = log
        self.store = store
        self.shards = shards
        self.records = 0
        self._epoch = epoch
        self._limit = Limit(BATCH_MAX_RECORDS)
        self._at: dict[Partition, int] = {}
        self._writer = Writer(
            store, _AlreadyThere(), epoch=epoch, shards=shards, max_answers=MAX_ANSWERS
        )

    async def up_to(self, positions: Positions) -> None:
        """Read on until the new tables are as far as those in use."""
        total = sum(positions.values()) - sum(self._at.values())
        progress = Progress(total, "records", time.monotonic())
        for partition, end in positions.items():
            if partition not in self._at:
                await self.store.begin(partition, self._epoch, 0)
                self._at[partition] = 0
            if self._at[partition] < end:
                await self._fill(partition, end, progress)
        progress.clear()

    async def _fill(self, partition: Partition, end: int, progress: Progress) -> None:
        start = self._at[partition]
        read = self.log.read(partition.topic, partition.shard, start, end)
        async for records in one_ahead(read):
            pending = {partition: Pending[WholeRecord](self._at[partition], deque(records))}
            ahead: Batch | None = None
            while pending[partition].waits:
                batch = ahead or await self._writer.read(self._taken(pending))
                before = self.records
                ahead = await self._write(pending, batch)
                progress.add(self.records - before, time.monotonic())

    async def _write(self, pending: _Pending, batch: Batch) -> Batch | None:
        """Write a batch, and give what is behind it; if it is refused, it is taken anew."""
        [stretch] = batch.stretches
        try:
            written = await self._writer.write(batch, self._taken(pending, batch.stretches))
        except RowRefused as error:
            if self._limit.refused(batch.records):
                self._writer.refuse(stretch, str(error))
            return None
        self._limit.stored()
        drop(pending, batch.stretches)
        self._at[stretch.partition] = stretch.next
        self.records += batch.records
        return written.following

    def _taken(
        self, pending: _Pending, behind: Sequence[Stretch[WholeRecord]] = ()
    ) -> list[Stretch[WholeRecord]]:
        return take(pending, self._limit.records, FETCH_BYTES, behind)


class _AlreadyThere:
    """Dead letters were written when the records were first read."""

    async def put(self, bad: Bad) -> None:
        """Do nothing."""
