"""A position and a shard log -> the next frames for a session's sockets. Pure.

Live, catching up and slow are the same thing: how far a position is behind. One record alone goes
out as its own bytes with the cursor spliced in, nothing is encoded again. Where several chunks wait
they are merged: only of one attempt, only consecutive sequences (a merge over a jump would hide
that text is missing), and never across another event of the session that must be given. The same
for reasoning, whose sequence is its own: it is another event to the text, and the text to it.

What can't be decoded, and types of a later version, are passed over. An event whose text had to be
mended (a byte that is no UTF-8, a lone surrogate) is given as it was read: it may be the end of an
answer, and its own bytes are no text frame. So is one that names a cursor of its own, as a frame
does that somebody has put into the log again: only the cursor of where it lies now is true.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from schemas.events import (
    Chunk,
    ReasoningChunk,
    SessionEvent,
    UndecodableEvent,
    decode_session_event,
)
from schemas.forgetting import without_forgotten
from schemas.shard_log import Record, ShardLog

READ_MAX_RECORDS = 1000
READ_MAX_BYTES = 256 * 1024
MERGE_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """The next frames; `position` is where to go on; `caught_up` if that is the log's end."""

    frames: list[bytes]
    position: int
    caught_up: bool


class MergedChunk(Chunk, frozen=True, kw_only=True, tag="ai_response_chunk"):
    """Several chunks as one frame: `sequence`, `created_at` and cursor are those of the last."""

    cursor: str
    first_sequence: int


class MergedReasoning(ReasoningChunk, frozen=True, kw_only=True, tag="ai_reasoning_chunk"):
    """The same of reasoning."""

    cursor: str
    first_sequence: int


Run = list[tuple[Chunk | ReasoningChunk, Record]]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_OURS = {"cursor", "first_sequence"}


def next_frames(log: ShardLog, session_id: str, position: int, cursor_prefix: str) -> Batch:
    """Give the session's frames from `position` on, bounded in records and bytes.

    `cursor_prefix` is `epoch.shard.`. A position after the log's end is caught up: the tail will
    come to it.

    Raises:
        PositionGone: the records at `position` are no longer in memory.
    """
    if position > log.end:
        return Batch([], position, caught_up=True)
    records = log.read(session_id, position, READ_MAX_RECORDS)
    taken = _within(records, READ_MAX_BYTES)
    frames = list(frames_of(without_forgotten(taken), session_id, cursor_prefix))
    if len(taken) == len(records) < READ_MAX_RECORDS:
        return Batch(frames, log.end, caught_up=True)
    return Batch(frames, taken[-1].offset + 1, caught_up=False)


def frames_of(
    records: Iterable[Record],
    session_id: str,
    cursor_prefix: str,
    on_skipped: Callable[[Record], None] | None = None,
) -> Iterator[bytes]:
    """Give the frames of a session's records, merged where that is allowed."""
    run: Run = []
    run_bytes = 0
    for record in records:
        event = readable(record, session_id)
        if event is None:
            if on_skipped is not None:
                on_skipped(record)
            continue
        if not isinstance(event, Chunk | ReasoningChunk):
            yield from _flush(run, cursor_prefix)
            yield spliced(record, event, cursor_prefix)
            continue
        if run and not (_continues(run[-1][0], event) and run_bytes < MERGE_MAX_BYTES):
            yield from _flush(run, cursor_prefix)
        if not run:
            run_bytes = 0
        run.append((event, record))
        run_bytes += len(record.value)
    yield from _flush(run, cursor_prefix)


def readable(record: Record, session_id: str) -> SessionEvent | None:
    """Give the record's event, or None if it is none that a client of the session may be given."""
    try:
        event = decode_session_event(record.value)
    except UndecodableEvent:
        return None
    return event if event is not None and event.session_id == session_id else None


def spliced(record: Record, event: SessionEvent, cursor_prefix: str) -> bytes:
    """Give the record's own bytes as a frame: an object whose first field is the cursor."""
    as_it_is = _is_text(record.value) and not _says_what_we_say(record.value)
    value = record.value if as_it_is else _encode(event)
    value = value if value.startswith(b"{") else value.lstrip()
    return b'{"cursor":"%b%d",%b' % (cursor_prefix.encode(), record.offset, value[1:])


def _within(records: list[Record], max_bytes: int) -> list[Record]:
    total = 0
    for index, record in enumerate(records):
        total += len(record.value)
        if total > max_bytes:
            return records[: index + 1]
    return records


def _continues(last: Chunk | ReasoningChunk, chunk: Chunk | ReasoningChunk) -> bool:
    return (
        chunk.sequence == last.sequence + 1
        and type(chunk) is type(last)
        and chunk.attempt == last.attempt
        and chunk.message_id == last.message_id
    )


def _flush(run: Run, cursor_prefix: str) -> Iterator[bytes]:
    if len(run) == 1:
        yield spliced(run[0][1], run[0][0], cursor_prefix)
    elif run:
        last, record = run[-1]
        merged = MergedChunk if isinstance(last, Chunk) else MergedReasoning
        yield _encode(
            merged(
                cursor=f"{cursor_prefix}{record.offset}",
                session_id=last.session_id,
                message_id=last.message_id,
                created_at=last.created_at,
                attempt=last.attempt,
                sequence=last.sequence,
                first_sequence=run[0][0].sequence,
                content="".join(chunk.content for chunk, _ in run),
            )
        )
    run.clear()


def _is_text(value: bytes) -> bool:
    """Say whether every reader can take the bytes as they are, unknown fields too."""
    if value.isascii() and b"\\ud" not in value and b"\\uD" not in value:
        return True
    try:
        _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _says_what_we_say(value: bytes) -> bool:
    """Say whether the record names a cursor itself, or the first of merged chunks.

    A field that comes twice is the later one to readers of JSON: they would go on from there. The
    names may be written with escapes.
    """
    # One after the other: this is done for every frame, and a loop takes longer than the looks.
    if b"cursor" not in value and b"first_sequence" not in value and b"\\u00" not in value:
        return False
    try:
        return not _OURS.isdisjoint(_decode(value))
    except (msgspec.DecodeError, RecursionError):
        return True
