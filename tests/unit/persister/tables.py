"""The persister's tables in memory, changed as its SQL changes the real ones.

The integration tests hold the two together: the same log gives the same rows in both.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from persister.answer_row import row_of
from persister.changes import Changes, ForgottenRow, Key

Row = dict[str, Any]


class Tables:
    """streaming_messages, user_messages and answers."""

    def __init__(self) -> None:
        self.chunks: dict[tuple[str, int], Row] = {}
        self.answers: dict[Key, Row] = {}
        self.prompts: dict[Key, Row] = {}
        self.forgotten: dict[str, Row] = {}

    def save(self, changes: Changes) -> None:
        for erased in changes.forgotten:
            self._forget(erased)
        for gone in changes.replaced:
            for number in range(gone.first, gone.next):
                row = self.chunks.get((gone.session_id, number))
                if row is not None and row["message_id"] == gone.message_id:
                    del self.chunks[gone.session_id, number]
        for chunk, number, is_complete in changes.chunks:
            place = (chunk.session_id, number)
            assert place not in self.chunks, f"a number was given twice: {place}"
            numbered = {"chunk_sequence": number, "is_complete": is_complete}
            self.chunks[place] = msgspec.structs.asdict(chunk) | numbered
        for place in changes.completed:
            self.chunks[place]["is_complete"] = True
        for answer in changes.answers:
            row = json.loads(json.dumps(row_of(answer)))
            row["ended_at"] = row["ended_at"] and _moment(row["ended_at"])
            before = self.answers.get((row["session_id"], row["message_id"]))
            row["reasoning"] = ""
            if before is not None:
                kept = ("first_epoch", "first_offset", "reasoning")
                row |= {name: before[name] for name in kept}
            self.answers[row["session_id"], row["message_id"]] = row
        for added in changes.reasonings:
            row = self.answers[added.session_id, added.message_id]
            row["reasoning"] = added.content if added.anew else row["reasoning"] + added.content
        for cancel in changes.cancels:
            stored = self.prompts.get((cancel.session_id, cancel.message_id))
            if stored is not None and stored["log_offset"] is not None:
                stored |= {"seen_epoch": cancel.seen_epoch, "seen_offset": cancel.seen_offset}
                stored |= _first_cancel(stored, cancel._asdict())
        for prompt in changes.prompts:
            self._put_prompt(prompt._asdict())

    def lookup(
        self, keys: Iterable[Key], sessions: Iterable[str]
    ) -> tuple[list[Row], dict[str, int], list[Row]]:
        wanted = set(sessions)
        highest: dict[str, int] = {}
        for (session_id, _), row in self.answers.items():
            if session_id in wanted:
                number = row["next_chunk_sequence"]
                highest[session_id] = max(number, highest.get(session_id, 0))
        found = [_typed(self.answers[key]) for key in keys if key in self.answers]
        for row in found:
            del row["reasoning"]  # it is not asked for
        forgotten = [self.forgotten[session] for session in wanted if session in self.forgotten]
        return found, highest, [_forgotten_as_read(row) for row in forgotten]

    def text(self, session_id: str, message_id: str) -> str:
        """Its pieces, in the order of chunk_sequence."""
        rows = [row for (session, _), row in sorted(self.chunks.items()) if session == session_id]
        return "".join(row["content"] for row in rows if row["message_id"] == message_id)

    def dump(self) -> Row:
        """Everything, for comparing."""
        return {
            "chunks": self.chunks,
            "answers": self.answers,
            "prompts": self.prompts,
            "forgotten": self.forgotten,
        }

    def _forget(self, row: ForgottenRow) -> None:
        self.forgotten[row.session_id] = row._asdict()
        for place in [place for place in self.chunks if place[0] == row.session_id]:
            del self.chunks[place]
        for key in [key for key in self.answers if key[0] == row.session_id]:
            del self.answers[key]
        said_before = row.said_epoch, row.said_before
        for key, prompt in list(self.prompts.items()):
            offset = prompt["log_offset"]
            if key[0] == row.session_id and (
                offset is None or (prompt["epoch"], offset) < said_before
            ):
                del self.prompts[key]

    def _put_prompt(self, row: Row) -> None:
        key = (row["session_id"], row["message_id"])
        stored = self.prompts.get(key)
        if stored is None:
            self.prompts[key] = row
        elif row["log_offset"] is not None:
            seen = {name: row[name] for name in ("shard", "seen_epoch", "seen_offset")}
            seen |= _first_cancel(stored, row)
            self.prompts[key] = row if stored["log_offset"] is None else stored | seen


def _first_cancel(*rows: Row) -> Row:
    """Of these, in log order, the first that was cancelled says by whom and when."""
    first = next((row for row in rows if row["cancelled_at"] is not None), rows[0])
    return {name: first[name] for name in ("cancelled_by", "cancelled_at")}


def _moment(text: str) -> str:
    """A timestamptz keeps the moment, not how it was written."""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat()


def _forgotten_as_read(row: Row) -> Row:
    places = {"forgotten_epoch": row["epoch"], "forgotten_offset": row["log_offset"]}
    return {name: row[name] for name in ("session_id", "said_epoch", "said_before")} | places


def _typed(row: Row) -> Row:
    """As psycopg gives it."""
    ended_at = row["ended_at"]
    return row | {"ended_at": ended_at and datetime.fromisoformat(ended_at)}
