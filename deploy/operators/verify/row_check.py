"""The rows of Postgres against the fold, message by message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from deploy.operators.verify.faults import Fault, Kind, Report
from deploy.operators.verify.known import Answered, Asked, Chunks, Session, Text, sum_of
from deploy.operators.verify.shard_check import ShardCheck
from schemas.conversation import columns_of
from schemas.cursor import Cursor

Row = Mapping[str, Any]
Key = tuple[str, str]
StoredChunk = tuple[str, str, int, str, int, str, bool]
"""session_id, message_id, chunk_sequence, attempt, sequence, content, is_complete"""
_A_MOMENT_S = 0.001
"""Events know milliseconds; what is finer Postgres rounds."""


@dataclass(slots=True)
class StoredChunks:
    """The rows of a message in streaming_messages, as they came in the order of their numbers."""

    chunks: Chunks = field(default_factory=Chunks)
    attempts: set[str] = field(default_factory=set)
    complete: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stored:
    """What Postgres has of some sessions."""

    answers: Mapping[Key, Row]
    prompts: Mapping[Key, Row]
    chunks: Mapping[Key, StoredChunks]


def gather(rows: Iterable[StoredChunk]) -> dict[Key, StoredChunks]:
    """Take rows of streaming_messages, ascending by chunk_sequence within each session."""
    gathered: dict[Key, StoredChunks] = {}
    for session_id, message_id, number, attempt, sequence, content, is_complete in rows:
        stored = gathered.get((session_id, message_id))
        if stored is None:
            stored = gathered[session_id, message_id] = StoredChunks()
        stored.chunks.add(number, sequence, content)
        stored.attempts.add(attempt)
        if is_complete:
            stored.complete.append(number)
    return gathered


class RowCheck:
    """Compares one shard; the check's fold must stand exactly at the stored positions."""

    def __init__(
        self,
        report: Report,
        check: ShardCheck,
        *,
        epoch: int,
        shard: int,
        gaps: bool,
        user_position: int,
        removed_before: bool = False,
    ) -> None:
        self._report = report
        self._check = check
        self._epoch = epoch
        self._shard = shard
        self._gaps = gaps
        self._removed_before = removed_before
        self.user_position = user_position

    def sessions(self, session_ids: Iterable[str], stored: Stored) -> None:
        """Compare these sessions with what is stored of them."""
        older = {key[0] for key, row in stored.answers.items() if row["first_epoch"] != self._epoch}
        for session_id in session_ids:
            session = self._check.sessions[session_id]
            # chunk_sequence counts from the session's first chunk. Where that was not read, or lay
            # in an earlier epoch, the numbers can't be worked out.
            begins_here = session_id not in older and not self._removed_before
            self._session(session_id, session, stored, self._check.whole and begins_here)
            self._forgotten(session_id, session, stored)
            for message_id, asked in session.asked.items():
                if asked.offset < self.user_position:
                    key = (session_id, message_id)
                    self._prompt(key, asked, stored.prompts.get(key))

    def invented_answers(self, offsets: Iterable[tuple[str, str, int]]) -> None:
        """Report answers (with their last offsets, in the range) of which the log has nothing."""
        for session_id, message_id, offset in offsets:
            session = self._check.sessions.get(session_id)
            if session is None or message_id not in session.answered:
                self._fault(Kind.row_invented, offset, (session_id, message_id), "in answers")

    def invented_prompts(self, offsets: Iterable[tuple[str, str, int]]) -> None:
        """The same for rows of user_messages, with the offsets of their records."""
        for session_id, message_id, offset in offsets:
            session = self._check.sessions.get(session_id)
            known = session is not None and message_id in session.asked.keys() | session.spared
            if not known:
                key = (session_id, message_id)
                self._fault(Kind.row_invented, offset, key, "in user_messages")

    def _session(self, session_id: str, session: Session, stored: Stored, numbered: bool) -> None:
        for message_id, answered in session.answered.items():
            key = (session_id, message_id)
            row = stored.answers.get(key)
            if row is None:
                self._fault(Kind.row_missing, answered.offset, key, "in answers")
            elif answered.whole and row["first_epoch"] == self._epoch:
                self._answer(key, answered, row)
                self._chunks(key, answered, stored.chunks.get(key) or StoredChunks(), numbered)

    def _forgotten(self, session_id: str, session: Session, stored: Stored) -> None:
        """Of a session that was forgotten nothing may be left, however old it is."""
        if session.transcript.forgotten is None:
            return
        of_others = session.answered.keys() | session.spared
        for table, rows, known in (
            ("answers", stored.answers, session.answered.keys()),
            ("user_messages", stored.prompts, of_others | session.asked.keys()),
            ("streaming_messages", stored.chunks, session.answered.keys()),
        ):
            for key in rows:
                if key[0] == session_id and key[1] not in known:
                    at = session.transcript.forgotten.at.offset
                    self._fault(Kind.row_forgotten, at, key, f"in {table}")

    def _answer(self, key: Key, answered: Answered, row: Row) -> None:
        if row["error_code"] == "lost" and not answered.message.terminal:
            self._fault(Kind.row_differs, answered.offset, key, "ended as lost, but the log has it")
            return
        expected = columns_of(answered.message)
        wrong = {name: row[name] for name, value in expected.items() if row[name] != value}
        if wrong == {"damaged": True} and self._gaps:
            self._fault(Kind.damage, row["last_offset"], key, "")
        elif wrong:
            differences = ", ".join(f"{n} is {v!r}, not {expected[n]!r}" for n, v in wrong.items())
            self._fault(Kind.row_differs, row["last_offset"], key, f"answers: {differences}")
        else:
            found = Text()
            found.add(row["reasoning"])
            if found != answered.reasoning:
                sizes = f"{found.size} bytes of reasoning, not {answered.reasoning.size}"
                told = "another reasoning" if found.size == answered.reasoning.size else sizes
                self._fault(Kind.row_differs, row["last_offset"], key, f"answers: {told}")

    def _chunks(self, key: Key, answered: Answered, stored: StoredChunks, numbered: bool) -> None:
        message, expected, found = answered.message, answered.chunks, stored.chunks
        # Until an attempt that continues another has a chunk, those of the other stand.
        goes_on = message.continues is not None and message.last_sequence == 0
        last = answered.message.last
        at = last.offset if last else answered.offset
        if found.count != expected.count:
            kind = Kind.row_missing if found.count < expected.count else Kind.row_invented
            self._fault(kind, at, key, f"{found.count} chunks, not {expected.count}")
        elif found.text != expected.text:
            self._fault(Kind.row_differs, at, key, "the text is another one")
        elif numbered and found.numbers != expected.numbers:
            numbers = f"chunk_sequence {found.first} to {found.last}"
            rule = f"not {expected.first} to {expected.last}, as the log's order gives"
            self._fault(Kind.row_differs, at, key, f"{numbers}, {rule}")
        elif not goes_on and stored.attempts - {message.attempt}:
            self._fault(Kind.row_differs, at, key, "chunks of another attempt")
        elif stored.complete != [found.last] * (message.state == "complete" and found.count > 0):
            self._fault(Kind.row_differs, at, key, "is_complete is not on the last chunk alone")

    def _prompt(self, key: Key, asked: Asked, row: Row | None) -> None:
        if row is None:
            self._fault(Kind.row_missing, asked.offset, key, "in user_messages")
        elif row["epoch"] is None:
            self._fault(Kind.row_differs, asked.offset, key, "user_messages: its record was read")
        elif self._check.whole and row["epoch"] == self._epoch:
            if row["log_offset"] != asked.offset:
                detail = f"user_messages: log_offset {row['log_offset']}, not {asked.offset}"
                self._fault(Kind.row_differs, asked.offset, key, detail)
            elif crc32(row["content"].encode()) != asked.content:
                self._fault(Kind.row_differs, asked.offset, key, "user_messages: another text")
            elif sum_of(row["user_id"]) != asked.user:
                self._fault(Kind.row_differs, asked.offset, key, "user_messages: another user_id")
            else:
                self._cancel(key, asked, row)

    def _cancel(self, key: Key, asked: Asked, row: Row) -> None:
        """Hold to the log who asked first that it be stopped, if the row knows of it."""
        at = asked.cancel_offset
        if at is not None and at >= self.user_position:
            at = None
        if row["cancelled_at"] is None:
            if at is not None:  # no fault: so a persister of before the columns has left it
                self._report.counted["cancels of which the rows do not say by whom"] += 1
        elif at is None:
            detail = "user_messages: cancelled_at, and nobody has cancelled it"
            self._fault(Kind.row_differs, asked.offset, key, detail)
        elif sum_of(row["cancelled_by"]) != asked.cancelled_by:
            self._fault(Kind.row_differs, at, key, "user_messages: another cancelled_by")
        elif abs(row["cancelled_at"].timestamp() - asked.cancelled_at) >= _A_MOMENT_S:
            self._fault(Kind.row_differs, at, key, "user_messages: another cancelled_at")

    def _fault(self, kind: Kind, offset: int, key: Key, detail: str) -> None:
        self._report.add(Fault(kind, Cursor(self._epoch, self._shard, offset), *key, detail))
