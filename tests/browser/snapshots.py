"""A session's fold as a snapshot frame: open messages always, of the finished the newest few."""

from msgspec import UNSET

from gateway.snapshot.snapshot import entries
from gateway.socket.protocol import GiveEarlier
from schemas.frames import History, Snapshot
from schemas.transcript import Transcript


def snapshot_of(transcript: Transcript, session_id: str, cursor: str, history: int) -> Snapshot:
    """Give the frame; finished messages that `history` leaves out are named in `ended`."""
    finished = [m.message_id for m in transcript.messages.values() if m.terminal]
    left_out = set(finished[: max(0, len(finished) - history)])
    shown = [
        entry
        for message in transcript.messages.values()
        if message.message_id not in left_out
        for entry in entries(message)
    ]
    ended = [message_id for message_id in finished if message_id in left_out]
    forgotten = transcript.forgotten
    return Snapshot(
        session_id=session_id,
        cursor=cursor,
        messages=shown,
        ended=ended,
        more=bool(ended),
        forgotten_before=forgotten.said_before.offset if forgotten else UNSET,
    )


def earlier_than(transcript: Transcript, session_id: str, asked: GiveEarlier) -> History:
    """Give the finished messages before the one that is named."""
    ids = list(transcript.messages)
    end = ids.index(asked.before) if asked.before in ids else len(ids)
    older = [transcript.messages[each] for each in ids[:end] if transcript.messages[each].terminal]
    page = older[-asked.limit :]
    found = [entry for message in page for entry in entries(message)]
    more = len(page) < len(older)
    return History(session_id=session_id, before=asked.before, messages=found, more=more)
