"""Short ways to write events of one session, so that a test reads as the story it tells."""

from schemas.events import (
    Chunk,
    Complete,
    Error,
    ErrorCode,
    FinishReason,
    Prompt,
    ReasoningChunk,
    SessionEvent,
    Status,
    StatusReason,
    StopReason,
)
from schemas.transcript import Outcome, Place, Transcript

AT = "2026-01-05T10:00:00.000Z"
PROMPT = Prompt(content="hello", created_at=AT)


def queued(message_id: str = "m1", position: int = 1) -> Status:
    return Status(
        session_id="s",
        message_id=message_id,
        created_at=AT,
        state="queued",
        prompt=PROMPT,
        position=position,
    )


def start(
    attempt: str,
    fence: tuple[int, int, int],
    message_id: str = "m1",
    continues: str | None = None,
) -> Status:
    return Status(
        session_id="s",
        message_id=message_id,
        created_at=AT,
        state="generating",
        attempt=attempt,
        fence=fence,
        prompt=PROMPT,
        model="m",
        worker="w",
        continues=continues,
    )


def alive(attempt: str, message_id: str = "m1") -> Status:
    return Status(
        session_id="s", message_id=message_id, created_at=AT, state="alive", attempt=attempt
    )


def cancelling(attempt: str, reason: StopReason = "cancel", message_id: str = "m1") -> Status:
    return Status(
        session_id="s",
        message_id=message_id,
        created_at=AT,
        state="cancelling",
        attempt=attempt,
        reason=reason,
    )


def released(attempt: str, message_id: str = "m1", reason: StatusReason | None = None) -> Status:
    return Status(
        session_id="s",
        message_id=message_id,
        created_at=AT,
        state="released",
        attempt=attempt,
        reason=reason,
    )


def chunk(attempt: str, sequence: int, content: str, message_id: str = "m1") -> Chunk:
    return Chunk(
        session_id="s",
        message_id=message_id,
        created_at=AT,
        attempt=attempt,
        sequence=sequence,
        content=content,
    )


def thought(attempt: str, sequence: int, content: str, message_id: str = "m1") -> ReasoningChunk:
    return ReasoningChunk(
        session_id="s",
        message_id=message_id,
        created_at=AT,
        attempt=attempt,
        sequence=sequence,
        content=content,
    )


def complete(
    attempt: str | None,
    last_sequence: int = 0,
    finish_reason: FinishReason = "stop",
    message_id: str = "m1",
) -> Complete:
    return Complete(
        session_id="s",
        message_id=message_id,
        created_at=AT,
        attempt=attempt,
        last_sequence=last_sequence,
        finish_reason=finish_reason,
        prompt=None if attempt else PROMPT,
    )


def failed(
    attempt: str | None,
    code: ErrorCode = "internal",
    last_sequence: int = 0,
    message_id: str = "m1",
) -> Error:
    return Error(
        session_id="s",
        message_id=message_id,
        created_at=AT,
        attempt=attempt,
        code=code,
        message="it failed",
        retryable=True,
        last_sequence=last_sequence,
        prompt=None if attempt else PROMPT,
    )


def apply_all(
    transcript: Transcript, *events: SessionEvent, epoch: int = 1, offset: int = 0
) -> list[Outcome]:
    """Fold the events at `offset`, `offset + 1` … and say what each did."""
    return [
        transcript.apply(event, Place(epoch, place)) for place, event in enumerate(events, offset)
    ]
