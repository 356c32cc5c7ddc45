"""Which records of a session there still are for a reader: those since it was forgotten. Pure.

A fold obeys the event by itself. Who hands records on as they are (a gateway, a replay) asks here.
All are given the records of one session, in the order of the log.
"""

from collections.abc import Sequence

from schemas.events import (
    SessionEvent,
    SessionForgotten,
    UndecodableEvent,
    decode_session_event,
)
from schemas.shard_log import Record
from schemas.transcript import Place, Transcript

_SIGN = b"session_forgotten"
"""What is not in a value is not its type: few records are decoded for this."""


def since_forgotten(records: Sequence[Record]) -> Sequence[Record]:
    """Give the records from the last event on by which their session was forgotten, or all."""
    for index in range(len(records) - 1, -1, -1):
        if forgets(records[index]):
            return records[index:]
    return records


def without_forgotten(records: Sequence[Record]) -> Sequence[Record]:
    """Leave out also what was still written of messages of before, if such an event is there."""
    since = since_forgotten(records)
    if not since or not forgets(since[0]):
        return since
    transcript = Transcript(keep_text=False, keep_reasoning=False)
    kept = [since[0]]
    for record in since:
        event = _event(record)
        if event is not None:
            transcript.apply(event, Place(0, record.offset))
            if event.message_id in transcript.messages:
                kept.append(record)
    return kept


def forgets(record: Record) -> bool:
    """Say whether by this record its session was forgotten."""
    if _SIGN not in record.value:
        return False
    event = _event(record)
    return isinstance(event, SessionForgotten) and event.session_id == record.session_id


def _event(record: Record) -> SessionEvent | None:
    try:
        return decode_session_event(record.value)
    except UndecodableEvent:
        return None
