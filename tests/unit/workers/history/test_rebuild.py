"""A conversation from what is stored and what was read since."""

from schemas.events import Chunk, Complete, Prompt, SessionEvent, Status, encode
from schemas.shard_log import Record
from schemas.transcript import Message, Place, Transcript
from workers.history.rebuild import combined, folded_on
from workers.intake.shard_fold import AtHand

EPOCH = 3
AT = "2026-01-01T00:00:00.000Z"


def life(message_id: str) -> list[SessionEvent]:
    """Start, one chunk, end."""
    session_id, attempt = "s", f"{message_id}-a"
    start = Status(
        session_id=session_id,
        message_id=message_id,
        created_at=AT,
        state="generating",
        attempt=attempt,
        fence=(EPOCH, 1, 0),
        prompt=Prompt(content="?", created_at=AT),
    )
    chunk = Chunk(
        session_id=session_id,
        message_id=message_id,
        created_at=AT,
        attempt=attempt,
        sequence=1,
        content=f"answer {message_id}",
    )
    end = Complete(
        session_id=session_id,
        message_id=message_id,
        created_at=AT,
        attempt=attempt,
        last_sequence=1,
        finish_reason="stop",
    )
    return [start, chunk, end]


LOG = [*life("m1"), *life("m2"), *life("m3")]


def read(start: int, end: int = len(LOG)) -> Transcript:
    transcript = Transcript()
    for offset in range(start, end):
        transcript.apply(LOG[offset], Place(EPOCH, offset))
    return transcript


def at_hand(start: int, forgotten_to: int | None = None) -> AtHand:
    messages = list(read(start).messages.values())
    return AtHand(start, len(LOG), start if forgotten_to is None else forgotten_to, messages)


def texts(messages: list[Message] | None) -> list[tuple[str, str, str]] | None:
    return None if messages is None else [(m.message_id, m.state, m.text) for m in messages]


WHOLE = [(m, "complete", f"answer {m}") for m in ("m1", "m2", "m3")]


def test_stored_and_read_make_the_whole_wherever_they_meet() -> None:
    for stored_to in range(len(LOG) + 1):
        for start in range(stored_to + 1):
            found = combined(read(0, stored_to), at_hand(start), next_offset=stored_to, epoch=EPOCH)
            assert found is None or texts(found) == WHOLE, (stored_to, start)


def test_it_can_tell_if_the_fold_began_at_a_message_and_not_in_the_middle_of_one() -> None:
    assert combined(read(0, 3), at_hand(3), next_offset=3, epoch=EPOCH) is not None
    assert combined(read(0, 4), at_hand(0), next_offset=4, epoch=EPOCH) is not None
    # m2 has begun in what is stored, and its end is only in a fold that did not see it begin.
    stored, late = read(0, 4), AtHand(4, 9, 4, list(read(3).messages.values()))
    assert combined(stored, late, next_offset=4, epoch=EPOCH) is None


def test_a_fold_that_began_later_or_has_forgotten_can_not_tell() -> None:
    assert combined(read(0, 3), at_hand(4), next_offset=3, epoch=EPOCH) is None
    assert combined(read(0, 3), at_hand(0, forgotten_to=6), next_offset=3, epoch=EPOCH) is None
    assert combined(read(0, 6), at_hand(0, forgotten_to=6), next_offset=6, epoch=EPOCH) is not None


def test_a_text_that_was_dropped_is_only_in_the_log() -> None:
    held = at_hand(0)
    held.messages[2].contents.clear()
    assert combined(read(0, 6), held, next_offset=6, epoch=EPOCH) is None
    assert texts(combined(read(0), held, next_offset=9, epoch=EPOCH)) == WHOLE


def test_an_end_that_is_stored_is_not_replaced() -> None:
    """A second life of m1, whose first lies before the fold at hand, changes nothing."""
    stored = read(0, 6)
    second = Transcript()
    for offset, event in enumerate(life("m1"), start=20):
        second.apply(event, Place(EPOCH, offset))
    second.messages["m1"].contents[:] = ["another text"]
    held = AtHand(6, 23, 6, list(second.messages.values()))
    assert texts(combined(stored, held, next_offset=6, epoch=EPOCH)) == WHOLE[:2]


def test_folding_on_from_what_is_stored() -> None:
    records = [Record(o, 0, "s", encode(LOG[o])) for o in range(4, len(LOG))]
    records.insert(2, Record(99, 0, "s", b"garbage"))
    assert texts(folded_on(read(0, 4), records, EPOCH)) == WHOLE
