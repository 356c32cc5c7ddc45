"""The event that ends an answer, from its text and what is known of its attempt. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import UNSET

from schemas.events import Event, Timing
from workers.attempt import events_out
from workers.attempt.text import AttemptText
from workers.attempt.usage import usage_of
from workers.history.prompt import ChatMessage
from workers.intake.actions import Start


class Elapsed(NamedTuple):
    """Milliseconds: since the attempt's start, or (`reasoning_ms`) of thinking."""

    first_token_ms: int | None
    reasoning_ms: int | None
    total_ms: int


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an attempt at its end."""

    prompt: Sequence[ChatMessage]
    full_history: bool
    repeated_bytes: Sequence[int]
    elapsed: Elapsed
    now_ms: int


def terminal(start: Start, text: AttemptText, known: Known, created_at: str) -> Event:
    """Give the event; the text has ended."""
    ending, elapsed = text.ending, known.elapsed
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
            queued_ms=max(0, known.now_ms - elapsed.total_ms - start.accepted_ms),
            first_token_ms=elapsed.first_token_ms,
            total_ms=elapsed.total_ms,
            reasoning_ms=UNSET if elapsed.reasoning_ms is None else elapsed.reasoning_ms,
        ),
        tool_calls_ignored=ending.tool_calls,
        history="full" if known.full_history else "partial",
    )
