"""The event that ends an answer, from its text and what is known of its attempt. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.events import Event, Timing
from workers.attempt import events_out
from workers.attempt.text import AttemptText
from workers.attempt.usage import usage_of
from workers.history.prompt import ChatMessage
from workers.intake.actions import Start


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an attempt at its end; times in milliseconds, `total_ms` since its start."""

    prompt: Sequence[ChatMessage]
    full_history: bool
    repeated_bytes: Sequence[int]
    first_token_ms: int | None
    total_ms: int
    now_ms: int


def terminal(start: Start, text: AttemptText, known: Known, created_at: str) -> Event:
    """Give the event; the text has ended."""
    ending = text.ending
    assert ending is not None  # noqa: S101 - writing ends with an ending, else the attempt is over
    if ending.failure is not None:
        return events_out.failed(start, ending.failure, text.sequence, created_at)
    return events_out.complete(
        start,
        text.sequence,
        created_at,
        finish_reason=ending.finish_reason,
        usage=usage_of(ending.usage, known.prompt, text.content, known.repeated_bytes),
        timing=Timing(
            queued_ms=max(0, known.now_ms - known.total_ms - start.accepted_ms),
            first_token_ms=known.first_token_ms,
            total_ms=known.total_ms,
        ),
        history="full" if known.full_history else "partial",
    )
