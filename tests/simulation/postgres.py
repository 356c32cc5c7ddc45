"""Postgres: the persister's tables as plain values, changed by whole transactions only."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from persister.answer_row import row_of
from persister.changes import Changes, ChunkRow, Key
from schemas.conversation import message_of
from schemas.topics import SESSION_LOG
from schemas.transcript import Message
from tests.simulation.world import RuleBroken, World


class Away(Exception):
    """The server does not answer."""


@dataclass(frozen=True)
class Move:
    """A position moves, if it stands where it is expected."""

    topic: str
    shard: int
    expected: int
    next: int


class Postgres:
    """The tables. Everything here happens in one moment; who calls decides when that is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.away = False
        self.positions: dict[tuple[str, int], int] = {}
        self.answers: dict[Key, dict[str, Any]] = {}
        self.chunks: dict[tuple[str, int], ChunkRow] = {}
        self.prompts: dict[Key, tuple[str, str]] = {}

    def position(self, topic: str, shard: int) -> int:
        self._answer()
        return self.positions.setdefault((topic, shard), 0)

    def save(self, changes: Changes, moves: Iterable[Move]) -> bool:
        """Write a batch, all of it or nothing; false if somebody else has moved a position."""
        self._answer()
        moves = list(moves)
        if "no-offset-guard" not in self.world.broken and any(
            self.positions.get((move.topic, move.shard), 0) != move.expected for move in moves
        ):
            return False
        for move in moves:
            self.positions[move.topic, move.shard] = move.next
        for gone in changes.replaced:
            for number in range(gone.first, gone.next):
                row = self.chunks.get((gone.session_id, number))
                if row is not None and row[0].message_id == gone.message_id:
                    del self.chunks[gone.session_id, number]
        for row in changes.chunks:
            chunk, number, _ = row
            if (chunk.session_id, number) in self.chunks:
                raise RuleBroken(f"chunk_sequence {number} is there already")
            self.chunks[chunk.session_id, number] = row
        for session_id, number in changes.completed:
            chunk, *_ = self.chunks[session_id, number]
            self.chunks[session_id, number] = (chunk, number, True)
        for answer in changes.answers:
            row_values = row_of(answer)
            ended = row_values["ended_at"]
            row_values["ended_at"] = ended and datetime.fromisoformat(ended)
            self.answers[answer.session_id, answer.message.message_id] = row_values
        for prompt in changes.prompts:
            key = (prompt.session_id, prompt.message_id)
            self.prompts.setdefault(key, (prompt.content, prompt.created_at))
        return True

    def lookup(
        self, keys: Iterable[Key], sessions: Iterable[str]
    ) -> tuple[list[Mapping[str, Any]], dict[str, int], list[Mapping[str, Any]]]:
        """Give the stored answers, and the next chunk_sequence of each session."""
        self._answer()
        if "no-look-up" in self.world.broken:
            rows: list[Mapping[str, Any]] = []
        else:
            rows = [self.answers[key] for key in sorted(keys) if key in self.answers]
        highest: dict[str, int] = {}
        wanted = set(sessions)
        for (session_id, _), row in self.answers.items():
            if session_id in wanted:
                highest[session_id] = max(highest.get(session_id, 1), row["next_chunk_sequence"])
        return rows, highest, []

    def conversation(self, session_id: str, shard: int) -> tuple[list[Message], int]:
        """Give the fold of the session as far as it is stored, and how far that is."""
        self._answer()
        messages = []
        for (session, message_id), answer in self.answers.items():
            if session == session_id:
                content, created_at = self.prompts[session, message_id]
                row = {
                    **answer,
                    "prompt": content,
                    "prompt_created_at": datetime.fromisoformat(created_at),
                    "content": self._text(answer),
                }
                message = message_of(row)
                assert message is not None
                messages.append(message)
        messages.sort(key=lambda message: (message.first is not None, message.first))
        return messages, self.positions.get((SESSION_LOG, shard), 0)

    def text_of(self, session_id: str, is_shown: Callable[[str], bool]) -> str:
        """The session's pieces in their order: what the seed query gives."""
        numbers = sorted(number for session, number in self.chunks if session == session_id)
        chunks = (self.chunks[session_id, number][0] for number in numbers)
        return "".join(chunk.content for chunk in chunks if is_shown(chunk.message_id))

    def _text(self, answer: Mapping[str, Any]) -> str:
        first = answer["first_chunk_sequence"]
        if first is None:
            return ""
        session_id = answer["session_id"]
        rows = (
            self.chunks.get((session_id, number))
            for number in range(first, answer["next_chunk_sequence"])
        )
        return "".join(
            row[0].content for row in rows if row and row[0].message_id == answer["message_id"]
        )

    def _answer(self) -> None:
        if self.away:
            raise Away
