"""A session's fold as a snapshot frame: open messages always, of the finished the newest few."""

from collections.abc import Iterator

from schemas.frames import Snapshot, SnapshotAnswer, SnapshotPrompt
from schemas.transcript import Message, Transcript


def snapshot_of(transcript: Transcript, session_id: str, cursor: str, history: int) -> Snapshot:
    """Give the frame; finished messages that `history` leaves out are named in `ended`."""
    finished = [m.message_id for m in transcript.messages.values() if m.terminal]
    left_out = set(finished[: max(0, len(finished) - history)])
    entries = [
        entry
        for message in transcript.messages.values()
        if message.message_id not in left_out
        for entry in _entries(message)
    ]
    ended = [message_id for message_id in finished if message_id in left_out]
    return Snapshot(session_id=session_id, cursor=cursor, messages=entries, ended=ended)


def _entries(message: Message) -> Iterator[SnapshotPrompt | SnapshotAnswer]:
    if message.prompt is not None:
        yield SnapshotPrompt(
            message_id=message.message_id,
            content=message.prompt.content,
            created_at=message.prompt.created_at,
            state=message.state,
        )
    error = message.error
    yield SnapshotAnswer(
        message_id=message.message_id,
        content=message.text,
        state=message.state,
        attempt=message.attempt,
        fence=message.fence,
        last_sequence=message.last_sequence,
        released=message.released,
        damaged=message.damaged,
        position=message.position,
        cancelling=message.cancelling,
        finish_reason=message.finish_reason,
        code=error.code if error else None,
        message=error.message if error else None,
        retryable=error.retryable if error else None,
        usage=message.usage,
        timing=message.timing,
        history=message.history,
        model=message.model,
        worker=message.worker,
    )
