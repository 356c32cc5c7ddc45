"""Drives a verification: which ranges are read, in which order, and compared when.

Each shard is read in three steps: what was asked; the session log up to the position that Postgres
has stored, where the rows are compared; and the rest, which only the rules of the log judge.

The rows go on meanwhile. So some sessions are compared at a time, in a short snapshot of their own:
the log is read on to the positions of that snapshot, and there fold and rows must be the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from aiokafka import ConsumerRecord

from deploy.operators.tooling.coordinator import committed_by
from deploy.operators.tooling.log_range import LogRanges
from deploy.operators.tooling.progress import Progress
from deploy.operators.verify.faults import Fault, Kind, Report
from deploy.operators.verify.row_check import RowCheck
from deploy.operators.verify.shard_check import ShardCheck
from deploy.operators.verify.stored_rows import StoredRows
from persister.batch import Partition
from persister.reading import LogRecord
from schemas.brokers import Kafka
from schemas.cursor import Cursor
from schemas.log.kafka_client import Admin
from schemas.log.log_reader import answered
from schemas.topics import SESSION_LOG, USER_MESSAGES, WORKER_GROUP

SESSIONS_AT_ONCE = 500
CATCH_UP_RECORDS = 5_000
CATCH_UP_ROUNDS = 20
"""A log that is written faster than it is read is compared in a longer snapshot."""
START_S = 10.0


@dataclass(frozen=True, slots=True)
class Scope:
    """Milliseconds: how far back to read (0: all), now, and how long an answer may take."""

    since_ms: int
    now_ms: int
    patience_ms: int


@dataclass(frozen=True, slots=True)
class Span:
    """A partition's offsets: where the log starts, what is read of it, and what is stored."""

    held: int
    start: int
    end: int
    stored: int


@dataclass(slots=True)
class _At:
    """How far a shard's topics have been folded."""

    asked: int
    answers: int


class Reading:
    """One verification."""

    def __init__(
        self,
        log: LogRanges,
        rows: StoredRows,
        kafka: Kafka,
        epoch: int,
        shards: int,
        scope: Scope,
    ) -> None:
        self._log = log
        self._rows = rows
        self._kafka = kafka
        self._epoch = epoch
        self._shards = shards
        self._scope = scope
        self._report = Report()
        self._gaps: set[int] = set()
        self._removed_before = False

    async def run(self) -> Report:
        """Read everything. Raises LogUnavailable, RangeTrimmed, RowsUnavailable."""
        positions = await asyncio.to_thread(self._rows.positions)
        committed = await _committed(self._kafka)
        asked = await self._spans(USER_MESSAGES, positions)
        answers = await self._spans(SESSION_LOG, positions)
        await asyncio.to_thread(self._note_gaps)
        self._removed_before = await asyncio.to_thread(self._rows.removed_before, self._epoch)
        await asyncio.to_thread(self._rows.let_go)
        total = sum(span.end - span.start for span in [*asked.values(), *answers.values()])
        progress = Progress(total, "records", time.monotonic())
        for shard in range(self._shards):
            await self._shard(shard, asked[shard], answers[shard], committed.get(shard), progress)
        progress.clear()
        await asyncio.to_thread(self._strays)
        await asyncio.to_thread(self._rows.let_go)
        return self._report

    async def _shard(
        self, shard: int, asked: Span, answers: Span, committed: int | None, progress: Progress
    ) -> None:
        whole = asked.start == answers.start == 0
        since_ms = 0 if whole else await self._first_ms(shard, answers)
        check = ShardCheck(
            self._report,
            epoch=self._epoch,
            shard=shard,
            shards=self._shards,
            whole=whole,
            since_ms=since_ms,
        )
        await self._read_on(
            check, shard, _At(asked.start, answers.start), asked.end, answers.start, progress
        )
        at = _At(asked.end, answers.start)
        await self._read_on(check, shard, at, at.asked, answers.stored, progress)
        if answers.stored > answers.start or asked.stored > asked.start:
            await self._compare(check, shard, at, asked, answers, progress)
        await self._read_on(check, shard, at, at.asked, answers.end, progress)
        check.end(
            now_ms=self._scope.now_ms, patience_ms=self._scope.patience_ms, committed=committed
        )
        self._report.counted["sessions"] += len(check.sessions)

    async def _read_on(
        self, check: ShardCheck, shard: int, at: _At, asked: int, answers: int, progress: Progress
    ) -> None:
        """Fold both topics up to these offsets, what was asked first; `at` moves with it."""
        async for records in self._log.read(USER_MESSAGES, shard, at.asked, asked):
            check.take_user_messages(_timed(records))
            progress.add(len(records), time.monotonic())
            self._report.counted["records of user_messages"] += len(records)
        async for records in self._log.read(SESSION_LOG, shard, at.answers, answers):
            check.take_session_log(_timed(records))
            progress.add(len(records), time.monotonic())
            self._report.counted["records of the session log"] += len(records)
        at.asked, at.answers = max(at.asked, asked), max(at.answers, answers)

    async def _compare(
        self,
        check: ShardCheck,
        shard: int,
        at: _At,
        asked: Span,
        answers: Span,
        progress: Progress,
    ) -> None:
        """Compare the sessions that were read so far, some at a time, then look for others."""
        sessions = iter(list(check.sessions))
        while some := list(islice(sessions, SESSIONS_AT_ONCE)):
            rows = await self._rows_now(check, shard, at, asked, answers, progress)
            await asyncio.to_thread(lambda: rows.sessions(some, self._rows.of(some)))  # noqa: B023
        rows = await self._rows_now(check, shard, at, asked, answers, progress)
        of_answers = (shard, self._epoch, answers.start, at.answers)
        rows.invented_answers(await asyncio.to_thread(self._rows.answer_offsets, *of_answers))
        of_prompts = (shard, self._epoch, asked.start, rows.user_position)
        rows.invented_prompts(await asyncio.to_thread(self._rows.prompt_offsets, *of_prompts))
        await asyncio.to_thread(self._rows.let_go)

    async def _rows_now(
        self,
        check: ShardCheck,
        shard: int,
        at: _At,
        asked: Span,
        answers: Span,
        progress: Progress,
    ) -> RowCheck:
        """Begin a snapshot and fold the log up to its positions.

        Much of the log is read while none is held: only a little is left once one is begun.
        """
        for round_ in range(CATCH_UP_ROUNDS):
            positions = await asyncio.to_thread(self._rows.positions)
            told = await self._stored(positions, SESSION_LOG, shard, answers.stored)
            said = await self._stored(positions, USER_MESSAGES, shard, asked.stored)
            little = told - at.answers <= CATCH_UP_RECORDS and said - at.asked <= CATCH_UP_RECORDS
            last = little or round_ == CATCH_UP_ROUNDS - 1
            if not last:
                await asyncio.to_thread(self._rows.let_go)
            await self._read_on(check, shard, at, max(said, at.asked), told, progress)
            if last:
                break
        return RowCheck(
            self._report,
            check,
            epoch=self._epoch,
            shard=shard,
            gaps=shard in self._gaps,
            user_position=said,
            removed_before=self._removed_before,
        )

    async def _stored(
        self,
        positions: dict[Partition, tuple[int, int]],
        topic: str,
        shard: int,
        known: int,
    ) -> int:
        """Give the position in this snapshot; as it was known where it can't be of this log."""
        epoch, stored = positions.get(Partition(topic, shard), (self._epoch, known))
        if epoch != self._epoch or stored <= known:
            return known
        end = (await self._log.ends(topic, [shard]))[shard]
        return stored if stored <= end else known

    async def _spans(
        self, topic: str, positions: dict[Partition, tuple[int, int]]
    ) -> dict[int, Span]:
        every = range(self._shards)
        starts = held = await self._log.starts(topic, every)
        ends = await self._log.ends(topic, every)
        if self._scope.since_ms:
            since = await self._log.at(topic, every, self._scope.since_ms)
            # What came after the ends were asked for is not read this time.
            starts = {shard: min(max(since[shard], held[shard]), ends[shard]) for shard in every}
        spans = {}
        for shard in every:
            epoch, stored = positions.get(Partition(topic, shard), (self._epoch, starts[shard]))
            at = Cursor(self._epoch, shard, stored)
            if epoch != self._epoch:
                self._fault(Kind.position, at, f"{topic}: stored for epoch {epoch}")
                stored = starts[shard]
            elif not held[shard] <= stored <= ends[shard]:
                log = f"the log has {held[shard]} to {ends[shard]}"
                self._fault(Kind.position, at, f"{topic}: next offset {stored}, {log}")
                stored = min(max(stored, starts[shard]), ends[shard])
            spans[shard] = Span(held[shard], starts[shard], ends[shard], stored)
        return spans

    async def _first_ms(self, shard: int, answers: Span) -> int:
        """From when on messages are known whole: the time of the first record that is read."""
        end = min(answers.start + 1, answers.end)
        async for records in self._log.read(SESSION_LOG, shard, answers.start, end):
            return int(records[0].timestamp)
        return self._scope.since_ms or self._scope.now_ms

    def _note_gaps(self) -> None:
        for gap in self._rows.gaps():
            self._gaps.add(gap["shard"])
            at = Cursor(self._epoch, gap["shard"], gap["from_offset"])
            self._fault(Kind.gap, at, f"{gap['topic']} up to offset {gap['to_offset']}")

    def _strays(self) -> None:
        for row in self._rows.stray_chunks():
            at = Cursor(self._epoch, 0, -1)
            detail = f"{row['chunks']} chunks outside of its attempt"
            fault = Fault(Kind.row_invented, at, row["session_id"], row["message_id"], detail)
            self._report.add(fault)

    def _fault(self, kind: Kind, at: Cursor, detail: str) -> None:
        self._report.add(Fault(kind, at, "", "", detail))


def _timed(records: Iterable[ConsumerRecord]) -> list[tuple[LogRecord, int]]:
    return [(record, record.timestamp) for record in records]


async def _committed(kafka: Kafka) -> dict[int, int]:
    """Ask for the workers' committed offsets on user_messages, by shard. Raises LogUnavailable."""
    admin = Admin(kafka)
    try:
        await answered(admin.start(), START_S)
        committed = await committed_by(admin, WORKER_GROUP)
    finally:
        await answered(admin.close())
    return {tp.partition: offset for tp, offset in committed.items() if tp.topic == USER_MESSAGES}
