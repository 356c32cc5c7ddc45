"""One answer and its row in `answers`, there and back without loss.

The row is the whole state that the fold needs to go on, so memory can be thrown away at any time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.conversation import columns_of, message_of
from schemas.transcript import Message, Place

NOWHERE = Place(0, 0)


@dataclass(slots=True)
class Answer:
    """The fold's message and what the rows need besides.

    The rows of the current attempt have numbers in [first_chunk_sequence, next_chunk_sequence);
    `named_at` is the place of the last event that names the message, whether it counts or not.
    """

    session_id: str
    message: Message
    shard: int
    next_chunk_sequence: int
    first_chunk_sequence: int | None = None
    named_at: Place = NOWHERE
    ended_at: str | None = None


def answer_of(row: Mapping[str, Any]) -> Answer:
    """Read a row of `answers`."""
    message = message_of(row)
    if message is None:
        raise ValueError(f"answers has a row without state: {row['message_id']}")
    ended_at: datetime | None = row["ended_at"]
    return Answer(
        session_id=row["session_id"],
        message=message,
        shard=row["shard"],
        next_chunk_sequence=row["next_chunk_sequence"],
        first_chunk_sequence=row["first_chunk_sequence"],
        named_at=Place(row["seen_epoch"], row["seen_offset"]),
        ended_at=None if ended_at is None else ended_at.astimezone(UTC).isoformat(),
    )


def row_of(answer: Answer) -> dict[str, Any]:
    """Give the row of `answers`, by column name, of values that JSON can carry."""
    message = answer.message
    assert message.first is not None and message.last is not None  # noqa: S101, PT018 - one counted
    return {
        **columns_of(message),
        "session_id": answer.session_id,
        "message_id": message.message_id,
        "first_chunk_sequence": answer.first_chunk_sequence,
        "next_chunk_sequence": answer.next_chunk_sequence,
        "ended_at": answer.ended_at,
        "shard": answer.shard,
        "seen_epoch": answer.named_at.epoch,
        "seen_offset": answer.named_at.offset,
    }
