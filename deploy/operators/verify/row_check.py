"""The rows of Postgres against the fold, message by message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from deploy.operators.verify.faults import Fault, Kind, Report
from deploy.operators.verify.shard_check import Pieces, Said, Session, ShardCheck, Told
from schemas.conversation import columns_of
from schemas.cursor import Cursor

Row = Mapping[str, Any]
Key = tuple[str, str]
PieceRow = tuple[str, str, int, str, int, str, bool]
"""session_id, message_id, chunk_sequence, attempt, sequence, content, is_complete"""


@dataclass(slots=True)
class StoredPieces:
    """The rows of a message in streaming_messages, as they came in the order of their numbers."""

    pieces: Pieces = field(default_factory=Pieces)
    attempts: set[str] = field(default_factory=set)
    complete: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stored:
    """What Postgres has of some sessions."""

    answers: Mapping[Key, Row]
    prompts: Mapping[Key, Row]
    pieces: Mapping[Key, StoredPieces]


def gather(rows: Iterable[PieceRow]) -> dict[Key, StoredPieces]:
    """Take rows of streaming_messages, ascending by chunk_sequence within each session."""
    gathered: dict[Key, StoredPieces] = {}
    for session_id, message_id, number, attempt, sequence, content, is_complete in rows:
        stored = gathered.get((session_id, message_id))
        if stored is None:
            stored = gathered[session_id, message_id] = StoredPieces()
        stored.pieces.add(number, sequence, content)
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
        said_position: int,
    ) -> None:
        self._report = report
        self._check = check
        self._epoch = epoch
        self._shard = shard
        self._gaps = gaps
        self._said_position = said_position

    def sessions(self, session_ids: Iterable[str], stored: Stored) -> None:
        """Compare these sessions with what is stored of them."""
        for session_id in session_ids:
            session = self._check.sessions[session_id]
            self._session(session_id, session, stored)
            for message_id, said in session.said.items():
                if said.offset < self._said_position:
                    key = (session_id, message_id)
                    self._prompt(key, said, stored.prompts.get(key))

    def invented_answers(self, places: Iterable[tuple[str, str, int]]) -> None:
        """Report answers (with their last offsets, in the range) of which the log has nothing."""
        for session_id, message_id, offset in places:
            session = self._check.sessions.get(session_id)
            if session is None or message_id not in session.told:
                self._fault(Kind.row_invented, offset, (session_id, message_id), "in answers")

    def invented_prompts(self, places: Iterable[tuple[str, str, int]]) -> None:
        """The same for rows of user_messages, with the offsets of their records."""
        for session_id, message_id, offset in places:
            session = self._check.sessions.get(session_id)
            if session is None or message_id not in session.said:
                key = (session_id, message_id)
                self._fault(Kind.row_invented, offset, key, "in user_messages")

    def _session(self, session_id: str, session: Session, stored: Stored) -> None:
        rows = [stored.answers.get((session_id, each)) for each in session.told]
        # Numbers begin with the session: where that is not in what was read, only order counts.
        numbered = self._check.whole and all(
            row is None or row["first_epoch"] == self._epoch for row in rows
        )
        for message_id, told in session.told.items():
            key = (session_id, message_id)
            row = stored.answers.get(key)
            if row is None:
                self._fault(Kind.row_missing, told.offset, key, "in answers")
            elif told.whole and row["first_epoch"] == self._epoch:
                self._answer(key, told, row)
                self._pieces(key, told, stored.pieces.get(key) or StoredPieces(), numbered)

    def _answer(self, key: Key, told: Told, row: Row) -> None:
        if row["error_code"] == "lost" and not told.message.terminal:
            self._fault(Kind.row_differs, told.offset, key, "ended as lost, but the log has it")
            return
        expected = columns_of(told.message)
        wrong = {name: row[name] for name, value in expected.items() if row[name] != value}
        if wrong == {"damaged": True} and self._gaps:
            self._fault(Kind.damage, row["last_offset"], key, "")
        elif wrong:
            said = ", ".join(f"{n} is {v!r}, not {expected[n]!r}" for n, v in wrong.items())
            self._fault(Kind.row_differs, row["last_offset"], key, f"answers: {said}")

    def _pieces(self, key: Key, told: Told, stored: StoredPieces, numbered: bool) -> None:
        message, expected, found = told.message, told.pieces, stored.pieces
        last = told.message.last
        at = last.offset if last else told.offset
        if found.count != expected.count:
            kind = Kind.row_missing if found.count < expected.count else Kind.row_invented
            self._fault(kind, at, key, f"{found.count} pieces, not {expected.count}")
        elif found.text != expected.text:
            self._fault(Kind.row_differs, at, key, "the text is another one")
        elif numbered and found.numbers != expected.numbers:
            said = f"chunk_sequence {found.first} to {found.last}"
            rule = f"not {expected.first} to {expected.last}, as the log's order gives"
            self._fault(Kind.row_differs, at, key, f"{said}, {rule}")
        elif stored.attempts - {message.attempt}:
            self._fault(Kind.row_differs, at, key, "pieces of another attempt")
        elif stored.complete != [found.last] * (message.state == "complete" and found.count > 0):
            self._fault(Kind.row_differs, at, key, "is_complete is not on the last piece alone")

    def _prompt(self, key: Key, said: Said, row: Row | None) -> None:
        if row is None:
            self._fault(Kind.row_missing, said.offset, key, "in user_messages")
        elif row["epoch"] is None:
            self._fault(Kind.row_differs, said.offset, key, "user_messages: its record was read")
        elif self._check.whole and row["epoch"] == self._epoch:
            if row["log_offset"] != said.offset:
                detail = f"user_messages: log_offset {row['log_offset']}, not {said.offset}"
                self._fault(Kind.row_differs, said.offset, key, detail)
            elif crc32(row["content"].encode()) != said.content:
                self._fault(Kind.row_differs, said.offset, key, "user_messages: another text")

    def _fault(self, kind: Kind, offset: int, key: Key, detail: str) -> None:
        self._report.add(Fault(kind, Cursor(self._epoch, self._shard, offset), *key, detail))
