"""The events that the owner of a shard writes about a message, as the intake decided. Pure."""

from schemas.events import Complete, Error, Prompt, SessionEvent, Status, UserMessage
from workers.actions import Cancelling, EndedEarly, Queued, Said


def event_of(said: Said, message: UserMessage, created_at: str) -> SessionEvent:
    """Give the event; the first one of a message repeats the prompt."""
    session_id, message_id = message.session_id, message.message_id
    prompt = prompt_of(message)
    if isinstance(said, Queued):
        return Status(
            session_id=session_id,
            message_id=message_id,
            created_at=created_at,
            state="queued",
            prompt=prompt,
            position=said.position,
        )
    if isinstance(said, Cancelling):
        return Status(
            session_id=session_id,
            message_id=message_id,
            created_at=created_at,
            state="cancelling",
            attempt=said.attempt,
            reason=said.reason,
        )
    if isinstance(said, EndedEarly):
        return Complete(
            session_id=session_id,
            message_id=message_id,
            created_at=created_at,
            attempt=said.attempt,
            last_sequence=said.last_sequence,
            finish_reason=said.reason,
            prompt=prompt if said.attempt is None else None,
        )
    return Error(
        session_id=session_id,
        message_id=message_id,
        created_at=created_at,
        attempt=said.attempt,
        code=said.code,
        message=said.text,
        retryable=said.retryable,
        last_sequence=said.last_sequence,
        prompt=prompt if said.attempt is None else None,
    )


def prompt_of(message: UserMessage) -> Prompt:
    """What the user said, as the session log repeats it."""
    return Prompt(content=message.content, created_at=message.created_at)
