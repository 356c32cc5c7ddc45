"""Records of either topic, one a line: read, given to clients, folded and made rows.

The first byte says whether it is the log of what people did or that of the sessions.
"""

import json
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.feed.delivery import spliced
from persister.answer_row import row_of
from persister.changes import Changes
from persister.reading import BadRecord, read
from persister.rows import RowFold
from schemas.events import (
    SessionEvent,
    UndecodableEvent,
    UserEvent,
    decode_session_event,
    decode_user_event,
    encode,
)
from schemas.shard_log import Record
from schemas.topics import SESSION_LOG, USER_MESSAGES, shard_of
from schemas.transcript import Outcome, Place, Transcript
from tests.fuzz.records import FuzzedRecord

RECORDS_MAX = 20
SHARDS, EPOCH = 4, 7
PREFIX = f"{EPOCH}.0."
Event = UserEvent | SessionEvent


def check(data: bytes) -> None:
    """Hold some records of one topic to what is promised of them."""
    topic = USER_MESSAGES if data[:1] < b"@" else SESSION_LOG
    stored: list[tuple[int, int, Event]] = []
    for offset, value in enumerate(data[1:].split(b"\n")[:RECORDS_MAX]):
        event = _decoded(topic, value)
        if event is None:
            continue
        if topic == SESSION_LOG:
            _check_frame(offset, value, event)
        shard = shard_of(event.session_id, SHARDS)
        record = FuzzedRecord(offset, event.session_id.encode(), value)
        try:
            storable = read(topic, shard, SHARDS, record)
        except BadRecord as refusal:
            str(refusal).encode()
            continue
        assert storable is not None
        stored.append((shard, offset, storable))
    _check_rows(stored)


def _decoded(topic: str, value: bytes) -> Event | None:
    decode = decode_user_event if topic == USER_MESSAGES else decode_session_event
    try:
        event: Event | None = decode(value)
    except UndecodableEvent as refusal:
        str(refusal).encode()
        return None
    if event is not None:
        assert decode(encode(event)) == event
    return event


def _check_frame(offset: int, value: bytes, event: Any) -> None:
    """A client that decodes JSON finds our cursor in the frame, and the event that we have read."""
    frame = spliced(Record(offset, 0, event.session_id, value), event, PREFIX)
    found = json.loads(frame)
    assert found["cursor"] == f"{PREFIX}{offset}"
    assert "first_sequence" not in found  # that is said of merged chunks
    assert decode_session_event(json.dumps(found).encode()) == event


def _check_rows(events: list[tuple[int, int, Event]]) -> None:
    """The rows say what the fold says, in values that every column takes."""
    fold = RowFold(EPOCH, max_answers=1000)
    keys, _ = fold.unknown([event for _, _, event in events])
    fold.restore(keys, [], {})
    changes = fold.fold(events)
    numbers: dict[str, int] = {}
    for chunk, number, _ in changes.chunks:
        assert number > numbers.get(chunk.session_id, 0)
        numbers[chunk.session_id] = number
    transcripts = _transcripts(events)
    for chunk, _, _ in changes.chunks:
        assert chunk.message_id in transcripts[chunk.session_id].messages
    for session_id, transcript in transcripts.items():
        for message_id, message in transcript.messages.items():
            assert _text(changes, session_id, message_id) == message.text
    assert not any("\0" in text for text in _texts(_all_rows(changes)))


def _transcripts(events: Iterable[tuple[int, int, Event]]) -> dict[str, Transcript]:
    transcripts: dict[str, Transcript] = {}
    for _, offset, event in events:
        if isinstance(event, SessionEvent):
            transcript = transcripts.setdefault(event.session_id, Transcript())
            before = {key for key, each in transcript.messages.items() if each.terminal}
            outcome = transcript.apply(event, Place(EPOCH, offset))
            # What has ended stays so, until its session is forgotten.
            if outcome is Outcome.FORGOTTEN:
                assert not transcript.messages
            else:
                assert all(transcript.messages[key].terminal for key in before)
    return transcripts


def _text(changes: Changes, session_id: str, message_id: str) -> str:
    return "".join(
        chunk.content
        for chunk, _, _ in changes.chunks
        if (chunk.session_id, chunk.message_id) == (session_id, message_id)
    )


def _all_rows(changes: Changes) -> list[Any]:
    answers = [row_of(answer) for answer in changes.answers]
    rows = [answers, changes.chunks, changes.reasonings, changes.prompts, changes.forgotten]
    return [json.loads(msgspec.json.encode(each)) for each in rows]


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)
