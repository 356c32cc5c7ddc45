"""Which records of a session there still are for a reader: those since it was forgotten. Pure.

A fold obeys the event by itself. Who hands records on as they are (a gateway, a replay) asks here.
"""

from collections.abc import Sequence

from schemas.events import SessionForgotten, UndecodableEvent, decode_session_event
from schemas.shard_log import Record

_SIGN = b"session_forgotten"
"""What is not in a value is not its type: few records are decoded for this."""


def since_forgotten(records: Sequence[Record]) -> Sequence[Record]:
    """Give the records from the last event on by which their session was forgotten, or all.

    They are of one session, in the order of the log.
    """
    for index in range(len(records) - 1, -1, -1):
        if forgets(records[index]):
            return records[index:]
    return records


def forgets(record: Record) -> bool:
    """Say whether the record is such an event."""
    if _SIGN not in record.value:
        return False
    try:
        event = decode_session_event(record.value)
    except UndecodableEvent:
        return False
    return isinstance(event, SessionForgotten) and event.session_id == record.session_id
