"""What can be wrong, and a report of it that stays small however much is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from schemas.cursor import Cursor

LISTED_MAX = 200
"""So many faults of each kind are listed; all are counted."""


class Kind(Enum):
    """The rules, each by the name of its breach."""

    hole = "an answer lacks a chunk: its sequence jumps"
    unended = "an accepted message has no terminal that counts"
    text_broken = "an attempt continues another, and its first chunk is not that one's text"
    chunk_before_start = "a chunk of an attempt that was never started"
    passed = "the workers' committed offset has passed an unfinished message"
    row_missing = "the log has it, Postgres does not"
    row_differs = "the row is not the fold"
    row_invented = "Postgres has it, the log does not"
    row_forgotten = "Postgres has it, though its session was forgotten"
    position = "the stored position is not in the log, or not of its epoch"
    gap = "the log lost a range before it was stored"
    damage = "the row says damaged, and a gap may be why"


@dataclass(frozen=True, slots=True)
class Fault:
    """One breach of a rule, and where in the log it is seen."""

    kind: Kind
    cursor: Cursor
    session_id: str
    message_id: str
    detail: str

    def __str__(self) -> str:
        where = f"session {self.session_id} message {self.message_id}" if self.session_id else ""
        line = f"{self.kind.name} at {self.cursor} {where}".rstrip()
        return f"{line}: {self.detail or self.kind.value}"


@dataclass(slots=True)
class Report:
    """The faults, and how often what is allowed has happened."""

    found: Counter[Kind] = field(default_factory=Counter)
    listed: list[Fault] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def add(self, fault: Fault) -> None:
        """Count it, and list it if there is room."""
        self.found[fault.kind] += 1
        if self.found[fault.kind] <= LISTED_MAX:
            self.listed.append(fault)

    @property
    def clean(self) -> bool:
        """Whether no rule is broken."""
        return not self.found
