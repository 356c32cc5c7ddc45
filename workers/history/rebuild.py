"""A conversation put together again: what Postgres has, and what this process has read since.

The persister is a moment behind the log. What came since is mostly in the fold at hand; if that
began too late, or has forgotten a part, only the log itself can tell. Pure.
"""

from collections.abc import Iterable

from schemas.events import UndecodableEvent, decode_session_event
from schemas.shard_log import Record
from schemas.transcript import Message, Place, Transcript
from workers.intake.shard_fold import AtHand


def combined(
    stored: Transcript, at_hand: AtHand, *, next_offset: int, epoch: int
) -> list[Message] | None:
    """The messages of `stored` (the fold up to `next_offset`) and of `at_hand`; None: can't tell.

    A message that has its end in `stored` keeps it: whatever came later of it does not count. If
    the session was forgotten since, nothing that is stored is left of it.
    """
    if not at_hand.whole_from(next_offset):
        return None
    seen_from = Place(epoch, at_hand.start)
    forgotten = at_hand.forgotten
    gone = forgotten is not None and forgotten.at >= Place(epoch, next_offset)
    messages = {} if gone else dict(stored.messages)
    for known in messages.values():
        open_here = not known.terminal and known.last is not None and known.last.epoch == epoch
        if open_here and (known.first is None or known.first < seen_from):
            return None  # its beginning is only stored, and what came later was not understood
    for message in at_hand.messages:
        if message.last is None or message.last < Place(epoch, next_offset):
            continue
        if message.message_id in messages and messages[message.message_id].terminal:
            continue
        if text_dropped(message):
            return None
        messages[message.message_id] = message
    return list(messages.values())


def text_dropped(message: Message) -> bool:
    """Whether its text was stored elsewhere and is not kept here any more."""
    had_text = message.last_sequence > 0 or message.continues is not None
    return message.terminal and had_text and not message.text


def folded_on(stored: Transcript, records: Iterable[Record], epoch: int) -> list[Message]:
    """The messages of `stored` after these records of the session, which follow it in the log."""
    for record in records:
        try:
            event = decode_session_event(record.value)
        except UndecodableEvent:
            continue
        if event is not None:
            stored.apply(event, Place(epoch, record.offset))
    return list(stored.messages.values())
