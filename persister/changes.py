"""What a batch changes in the tables: rows, and what goes away, in the order of the writing."""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from persister.answer_row import Answer
from schemas.events import Chunk
from schemas.transcript import Outcome

Key = tuple[str, str]
"""session_id, message_id"""


ChunkRow = tuple[Chunk, int, bool]
"""A row of streaming_messages, as nearly all are: the event, chunk_sequence, is_complete."""


class PromptRow(NamedTuple):
    """A row of user_messages; places are None when only the answer's events have told of it.

    `cancelled_at` is None if nobody has asked that its answer be stopped.
    """

    session_id: str
    message_id: str
    content: str
    user_id: str | None
    created_at: str
    shard: int
    epoch: int | None
    log_offset: int | None
    seen_epoch: int | None
    seen_offset: int | None
    cancelled_by: str | None = None
    cancelled_at: str | None = None


class CancelRow(NamedTuple):
    """What cancels change in a row of user_messages that is stored: the first of them, and seen."""

    session_id: str
    message_id: str
    cancelled_by: str | None
    cancelled_at: str
    seen_epoch: int
    seen_offset: int


class ForgottenRow(NamedTuple):
    """A row of forgotten_sessions: all that is stored of the session is removed with it."""

    session_id: str
    shard: int
    epoch: int
    log_offset: int
    said_epoch: int
    said_before: int
    forgotten_at: str


class ChunkRange(NamedTuple):
    """The chunks [first, next) of a message, which a new attempt has replaced."""

    session_id: str
    message_id: str
    first: int
    next: int


class Reasoning(NamedTuple):
    """What comes behind the reasoning in a row of answers, or (`anew`) takes its place.

    So nobody holds what the row has: it may be long, and a running answer is only added to.
    """

    session_id: str
    message_id: str
    anew: bool
    content: str


@dataclass(slots=True)
class Changes:
    """What one batch changes, to be written in the order of the fields."""

    forgotten: list[ForgottenRow]
    replaced: list[ChunkRange]
    chunks: list[ChunkRow]
    completed: list[tuple[str, int]]
    answers: list[Answer]
    reasonings: list[Reasoning]
    cancels: list[CancelRow]
    prompts: list[PromptRow]
    outcomes: Counter[Outcome]
