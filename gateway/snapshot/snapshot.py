"""A session's fold -> the snapshot frame: what is shown, and what is only said to be over. Pure.

Running and queued messages are always shown, with their text so far. Shown as well is all that
ended since the connection joined, because its frames are dropped as older than the snapshot; and of
the finished ones before that, as many as the client asked for. The others are named in `ended`:
without that, a late start of one of them would look like an answer that never ends.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from schemas.cursor import Cursor
from schemas.events import Error
from schemas.frames import AS_IN_THE_FOLD, Snapshot, SnapshotAnswer, SnapshotPrompt
from schemas.limits import ENDED_MAX_IDS, SNAPSHOT_MAX_BYTES
from schemas.transcript import Message, Place, Transcript, is_lost

_encode = msgspec.json.Encoder().encode


def shown(messages: Sequence[Message], joined: Place, history: int) -> set[str]:
    """Give the ids of the messages that a snapshot shows; `messages` in the session's order."""
    finished = [message for message in messages if message.terminal]
    newest = finished[-history:] if history else []
    since = (m for m in finished if m.last is not None and m.last >= joined)
    open_ones = (message for message in messages if not message.terminal)
    return {message.message_id for part in (newest, since, open_ones) for message in part}


def end_lost(
    messages: Iterable[Message], epoch: int, log_start: int, named: Callable[[str], bool]
) -> None:
    """End the messages that no log can end any more: the topics were made anew.

    `named` says of an id whether this epoch's log may hold a record of it.
    """
    for message in messages:
        if is_lost(message, epoch, log_start, named(message.message_id)):
            message.state = "error"
            message.released, message.cancelling, message.position = False, None, None
            message.error = Error(
                session_id="",
                message_id=message.message_id,
                created_at="",
                attempt=message.attempt,
                code="lost",
                message="the log that would have ended this answer is gone",
                retryable=True,
            )


def snapshot(
    session_id: str,
    transcript: Transcript,
    cursor: Cursor,
    *,
    joined: Place,
    history: int,
    log_start: int,
    max_bytes: int = SNAPSHOT_MAX_BYTES,
    ended: Sequence[str] = (),
    more: bool = False,
) -> Snapshot:
    """Make the frame; `cursor` is the place of the last record in the fold.

    The oldest finished messages are dropped into `ended` until the rest fits into `max_bytes`;
    those that have not ended are never dropped. `ended` are messages that ended before those of the
    fold; `more`: there are some that it does not hold.
    """
    messages = list(transcript.messages.values())
    ids = _fitting(messages, shown(messages, joined, history), max_bytes)
    start = Place(cursor.epoch, log_start)
    over = [
        message.message_id
        for message in messages
        if message.terminal
        and message.message_id not in ids
        and message.last is not None
        and message.last >= start
    ]
    return Snapshot(
        session_id=session_id,
        cursor=str(cursor),
        messages=[entry for m in messages if m.message_id in ids for entry in entries(m)],
        ended=list(dict.fromkeys([*ended, *over]))[-ENDED_MAX_IDS:],
        more=more or any(m.terminal and m.message_id not in ids for m in messages),
        forgotten_before=_forgotten_before(transcript, cursor.epoch),
    )


def _forgotten_before(transcript: Transcript, epoch: int) -> int | UnsetType:
    """Give the offset before which all was forgotten; one of an earlier log says nothing here."""
    forgotten = transcript.forgotten
    if forgotten is None or forgotten.said_before.epoch != epoch:
        return UNSET
    return forgotten.said_before.offset


def entries(message: Message) -> list[SnapshotPrompt | SnapshotAnswer]:
    """Give a message's entries: the prompt, if that is known, then the state of its answer."""
    return [*_prompt(message), _answer(message)]


def _prompt(message: Message) -> Iterator[SnapshotPrompt]:
    if message.prompt is not None:
        yield SnapshotPrompt(
            message_id=message.message_id,
            content=message.prompt.content,
            created_at=message.prompt.created_at,
            state=message.state,
        )


def _answer(message: Message) -> SnapshotAnswer:
    error = message.error
    return SnapshotAnswer(
        **{name: getattr(message, name) for name in AS_IN_THE_FOLD},
        content=message.text,
        reasoning=message.reasoning,
        code=error.code if error else None,
        message=error.message if error else None,
        retryable=error.retryable if error else None,
    )


def _fitting(messages: Sequence[Message], ids: Collection[str], max_bytes: int) -> set[str]:
    """Leave out the oldest finished messages, until the others fit."""
    kept = set(ids)
    sizes = {m.message_id: len(_encode(entries(m))) for m in messages if m.message_id in kept}
    total = sum(sizes.values())
    for message in messages:
        if total <= max_bytes:
            break
        if message.terminal and message.message_id in kept:
            kept.remove(message.message_id)
            total -= sizes[message.message_id]
    return kept
