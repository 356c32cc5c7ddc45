"""The events that workers write: about an answer, and about a message that no answer runs for.

Pure: the time is an argument, as events carry it.
"""

from typing import Any

from schemas.events import (
    BEGIN_ANEW,
    Chunk,
    Complete,
    Error,
    Prompt,
    ReasoningChunk,
    SessionEvent,
    Status,
    UserMessage,
)
from workers.attempt.text import Failure
from workers.intake.actions import Cancelling, EndedEarly, OwnerEvent, Queued, Start


def event_of(
    wanted: OwnerEvent, message: UserMessage, created_at: str, prompt_offset: int | None = None
) -> SessionEvent:
    """Give the event; the first one of a message repeats the prompt, and says where it was said."""
    session_id, message_id = message.session_id, message.message_id
    prompt = prompt_of(message)
    if isinstance(wanted, Queued):
        return Status(
            session_id=session_id,
            message_id=message_id,
            created_at=created_at,
            state="queued",
            prompt=prompt,
            prompt_offset=prompt_offset,
            position=wanted.position,
        )
    if isinstance(wanted, Cancelling):
        return Status(
            session_id=session_id,
            message_id=message_id,
            created_at=created_at,
            state="cancelling",
            attempt=wanted.attempt,
            reason=wanted.reason,
        )
    if isinstance(wanted, EndedEarly):
        return Complete(
            session_id=session_id,
            message_id=message_id,
            created_at=created_at,
            attempt=wanted.attempt,
            last_sequence=wanted.last_sequence,
            finish_reason=wanted.reason,
            prompt=prompt if wanted.attempt is None else None,
            prompt_offset=prompt_offset if wanted.attempt is None else None,
        )
    return Error(
        session_id=session_id,
        message_id=message_id,
        created_at=created_at,
        attempt=wanted.attempt,
        code=wanted.code,
        message=wanted.text,
        retryable=wanted.retryable,
        last_sequence=wanted.last_sequence,
        prompt=prompt if wanted.attempt is None else None,
        prompt_offset=prompt_offset if wanted.attempt is None else None,
    )


def prompt_of(message: UserMessage) -> Prompt:
    """What the user said, as the session log repeats it."""
    return Prompt(content=message.content, created_at=message.created_at)


# -- of an answer that runs


def generating(start: Start, *, model: str, worker: str, created_at: str) -> Status:
    """The attempt begins; it repeats the prompt, so that the log can be replayed alone."""
    return Status(
        **_head(start, created_at),
        state="generating",
        attempt=start.attempt,
        fence=start.fence,
        prompt=prompt_of(start.message),
        prompt_offset=start.prompt_offset,
        model=model,
        worker=worker,
        continues=start.continues,
    )


def alive(start: Start, created_at: str) -> Status:
    """A sign of life."""
    return Status(**_head(start, created_at), state="alive", attempt=start.attempt)


def released(start: Start, created_at: str, *, anew: bool) -> Status:
    """The end of the attempt without a result; `anew`: its text can't be gone on with."""
    reason = BEGIN_ANEW if anew else None
    return Status(
        **_head(start, created_at), state="released", attempt=start.attempt, reason=reason
    )


def chunk(start: Start, sequence: int, content: str, created_at: str) -> Chunk:
    """The next chunk of the text."""
    return Chunk(
        session_id=start.message.session_id,
        message_id=start.message.message_id,
        created_at=created_at,
        attempt=start.attempt,
        sequence=sequence,
        content=content,
    )


def reasoning_chunk(start: Start, sequence: int, content: str, created_at: str) -> ReasoningChunk:
    """The next chunk of what the model thinks aloud."""
    return ReasoningChunk(
        **_head(start, created_at), attempt=start.attempt, sequence=sequence, content=content
    )


def failed(start: Start, failure: Failure, last_sequence: int, created_at: str) -> Error:
    """The answer ends with an error."""
    return Error(
        **_head(start, created_at),
        attempt=start.attempt,
        code=failure.code,
        message=failure.message,
        retryable=failure.retryable,
        last_sequence=last_sequence,
    )


def complete(start: Start, last_sequence: int, created_at: str, **fields: Any) -> Complete:
    """The answer ends with its text; `fields` are the reason, the usage and the rest."""
    return Complete(
        **_head(start, created_at), attempt=start.attempt, last_sequence=last_sequence, **fields
    )


def _head(start: Start, created_at: str) -> dict[str, Any]:
    message = start.message
    return {
        "session_id": message.session_id,
        "message_id": message.message_id,
        "created_at": created_at,
    }
