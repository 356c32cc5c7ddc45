"""A position and a shard log give exactly what comes after the position."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feed import delivery
from gateway.feed.delivery import frames_of, next_frames, spliced
from schemas.events import (
    Chunk,
    Complete,
    Event,
    Prompt,
    ReasoningChunk,
    SessionEvent,
    Status,
    decode_session_event,
    encode,
)
from schemas.shard_log import PositionGone, Record, ShardLog
from schemas.transcript import Message, Outcome, Place, Transcript

AT = "2026-01-01T00:00:00.000Z"
PREFIX = "7.3."


def chunk(sequence: int, content: str, attempt: str = "a1", message_id: str = "m1") -> Event:
    return Chunk(
        session_id="s1",
        message_id=message_id,
        created_at=AT,
        attempt=attempt,
        sequence=sequence,
        content=content,
    )


def thought(sequence: int, content: str, attempt: str = "a1", message_id: str = "m1") -> Event:
    return ReasoningChunk(
        session_id="s1",
        message_id=message_id,
        created_at=AT,
        attempt=attempt,
        sequence=sequence,
        content=content,
    )


def start(attempt: str = "a1", fence: int = 1, message_id: str = "m1") -> Status:
    return Status(
        session_id="s1",
        message_id=message_id,
        created_at=AT,
        state="generating",
        attempt=attempt,
        fence=(1, fence, 0),
        prompt=Prompt(content="?", created_at=AT),
    )


def complete(last: int, attempt: str | None = "a1", message_id: str = "m1") -> Event:
    return Complete(
        session_id="s1",
        message_id=message_id,
        created_at=AT,
        attempt=attempt,
        last_sequence=last,
        finish_reason="stop",
    )


def records(*events: Event | bytes, first: int = 0, session_id: str = "s1") -> list[Record]:
    return [
        Record(offset, 0, session_id, event if isinstance(event, bytes) else encode(event))
        for offset, event in enumerate(events, first)
    ]


def frames(*events: Event | bytes, first: int = 0) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in frames_of(records(*events, first=first), "s1", PREFIX)]


def test_one_record_is_its_own_bytes_with_the_cursor_in_front() -> None:
    (record,) = records(chunk(1, "é"), first=41)
    (frame,) = frames_of([record], "s1", PREFIX)
    assert frame == b'{"cursor":"7.3.41",' + record.value[1:]


def test_a_foreign_writers_white_space_does_not_break_the_frame() -> None:
    value = b' \n{"type" : "status"}'
    assert json.loads(spliced(Record(1, 0, "s1", value), start(), PREFIX))["cursor"] == "7.3.1"


def test_consecutive_chunks_that_wait_are_one_frame() -> None:
    assert frames(chunk(3, "a"), chunk(4, "b\n"), chunk(5, "é"), first=10) == [
        {
            "type": "ai_response_chunk",
            "cursor": "7.3.12",
            "session_id": "s1",
            "message_id": "m1",
            "created_at": AT,
            "attempt": "a1",
            "first_sequence": 3,
            "sequence": 5,
            "content": "ab\né",
        }
    ]


def sequences(*events: Event | bytes) -> list[tuple[int, int] | str]:
    """First and last sequence of each chunk frame; the type of the others."""
    return [
        (frame.get("first_sequence", frame["sequence"]), frame["sequence"])
        if frame["type"] == "ai_response_chunk"
        else frame.get("state", frame["type"])
        for frame in frames(*events)
    ]


def test_a_jump_is_never_merged_over() -> None:
    assert sequences(chunk(1, "a"), chunk(2, "b"), chunk(4, "d")) == [(1, 2), (4, 4)]


def test_a_repeat_is_never_merged() -> None:
    assert sequences(chunk(1, "a"), chunk(2, "b"), chunk(2, "b"), chunk(3, "c")) == [(1, 2), (2, 3)]


def test_chunks_are_not_merged_across_a_start() -> None:
    assert sequences(chunk(1, "a"), start(), chunk(2, "b")) == [(1, 1), "generating", (2, 2)]


def test_chunks_of_two_attempts_or_messages_are_not_merged() -> None:
    assert sequences(chunk(1, "a"), chunk(2, "b", attempt="a2")) == [(1, 1), (2, 2)]
    assert sequences(chunk(1, "a"), chunk(2, "b", message_id="m2")) == [(1, 1), (2, 2)]


def test_reasoning_is_merged_by_its_own_sequence() -> None:
    assert frames(thought(1, "hm, "), thought(2, "so"), thought(3, "?"), first=10) == [
        {
            "type": "ai_reasoning_chunk",
            "cursor": "7.3.12",
            "session_id": "s1",
            "message_id": "m1",
            "created_at": AT,
            "attempt": "a1",
            "first_sequence": 1,
            "sequence": 3,
            "content": "hm, so?",
        }
    ]


def test_reasoning_and_text_are_never_merged_nor_change_places() -> None:
    got = frames(thought(1, "a"), chunk(2, "b"), chunk(3, "c"), thought(2, "d"), thought(3, "e"))
    assert [(frame["type"], frame["content"]) for frame in got] == [
        ("ai_reasoning_chunk", "a"),
        ("ai_response_chunk", "bc"),
        ("ai_reasoning_chunk", "de"),
    ]


def test_a_merged_frame_is_bounded() -> None:
    piece = "x" * 10_000
    got = sequences(*(chunk(sequence, piece) for sequence in range(1, 21)))
    assert len(got) == 3
    assert got[0] == (1, 7)


def test_what_is_no_event_is_passed_over() -> None:
    later = b'{"type":"later","session_id":"s1","message_id":"m1","created_at":""}'
    foreign = encode(chunk(2, "x")).replace(b'"s1"', b'"s2"')
    skipped: list[int] = []
    given_out = list(
        frames_of(
            records(chunk(1, "a"), b"garbage", b"", later, foreign, chunk(2, "b")),
            "s1",
            PREFIX,
            lambda record: skipped.append(record.offset),
        )
    )
    assert skipped == [1, 2, 3, 4]
    assert [json.loads(frame)["content"] for frame in given_out] == ["ab"]


@pytest.mark.parametrize("odd", [b"\xff", b"\\ud800", b"\\uD800", "é".encode() + b"\\udfff"])
def test_an_event_whose_text_is_mended_is_given_as_it_was_read(odd: bytes) -> None:
    """It may be the end of an answer: for whoever reads the rows, the message has ended with it."""
    end = encode(complete(1)).replace(b'"stop"', b'"st' + odd + b'op"')
    unknown = encode(chunk(1, "a"))[:-1] + b',"later":"' + odd + b'"}'
    [first, last] = frames_of(records(unknown, end), "s1", PREFIX)
    assert json.loads(first.decode())["content"] == "a"
    frame = json.loads(last.decode())
    assert (frame["type"], frame["cursor"]) == ("ai_response_complete", f"{PREFIX}1")
    assert frame["finish_reason"].encode().decode().startswith("st")


def log_of(*events: Event | bytes, first: int = 0) -> ShardLog:
    log = ShardLog(first)
    log.append(records(*events, first=first))
    return log


def test_a_position_at_the_end_is_caught_up() -> None:
    log = log_of(chunk(1, "a"))
    batch = next_frames(log, "s1", 1, PREFIX)
    assert (batch.frames, batch.position, batch.caught_up) == ([], 1, True)


def test_other_sessions_move_the_position_but_give_no_frame() -> None:
    log = log_of(chunk(1, "a"))
    log.append(records(b"{}", b"{}", first=1, session_id="s2"))
    batch = next_frames(log, "s1", 1, PREFIX)
    assert (batch.frames, batch.position, batch.caught_up) == ([], 3, True)


def test_a_position_ahead_of_the_tail_waits_for_it() -> None:
    batch = next_frames(log_of(chunk(1, "a")), "s1", 5, PREFIX)
    assert (batch.frames, batch.position, batch.caught_up) == ([], 5, True)


def test_a_position_before_the_log_is_gone() -> None:
    with pytest.raises(PositionGone):
        next_frames(log_of(chunk(1, "a"), first=5), "s1", 4, PREFIX)


def test_a_batch_is_bounded_in_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "READ_MAX_RECORDS", 2)
    log = log_of(chunk(1, "a"), chunk(2, "b"), chunk(3, "c"))
    first = next_frames(log, "s1", 0, PREFIX)
    assert (len(first.frames), first.position, first.caught_up) == (1, 2, False)
    second = next_frames(log, "s1", first.position, PREFIX)
    assert (len(second.frames), second.position, second.caught_up) == (1, 3, True)


def test_a_batch_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "READ_MAX_BYTES", 10)
    log = log_of(chunk(1, "a"), chunk(2, "b"))
    batch = next_frames(log, "s1", 0, PREFIX)
    assert (len(batch.frames), batch.position, batch.caught_up) == (1, 1, False)


# Property: however a reader is cut into batches, its fold is the fold of the records.

ids = st.sampled_from(["a1", "a2"])
messages = st.sampled_from(["m1", "m2"])
any_event = st.one_of(
    st.builds(start, ids, st.integers(1, 3), messages),
    st.builds(complete, st.integers(0, 6), ids, messages),
    st.builds(chunk, st.integers(1, 6), st.text(max_size=3), ids, messages),
    st.builds(chunk, st.integers(1, 6), st.text(max_size=3), ids, messages),
    st.builds(thought, st.integers(1, 6), st.text(max_size=3), ids, messages),
    st.sampled_from([b"garbage", b'{"type":"later"}']),
)


def fold_of_records(log: list[Record]) -> dict[str, Message]:
    transcript = Transcript()
    for record in log:
        event = delivery.readable(record, "s1")
        if event is not None:
            transcript.apply(event, Place(7, record.offset))
    return transcript.messages


def without_places(folded: dict[str, Message]) -> list[object]:
    return [
        (
            *(m.message_id, m.state, m.attempt, m.fence, m.starts, m.damaged),
            *(m.text, m.last_sequence, m.reasoning, m.last_reasoning_sequence),
        )
        for m in folded.values()
    ]


def written_once(events: list[Event | bytes]) -> list[Event | bytes]:
    """Leave out what a worker never writes: the same piece of an attempt twice.

    Its producer is idempotent, and after a send of unknown outcome it writes no further piece. A
    reader of merged frames could not tell the piece that it has from the one that it lacks.
    """
    once: list[Event | bytes] = []
    pieces: set[tuple[str, str, str, int]] = set()
    for event in events:
        if isinstance(event, Chunk | ReasoningChunk):
            piece = (event.message_id, event.attempt, type(event).__name__, event.sequence)
            if piece in pieces:
                continue
            pieces.add(piece)
        once.append(event)
    return once


@given(st.lists(any_event, max_size=40), st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_merged_frames_fold_to_what_the_records_fold_to(
    events: list[Event | bytes], cuts: list[int]
) -> None:
    log = records(*written_once(events))
    transcript = Transcript()
    rest = list(log)
    outcomes = []
    for size in cuts * len(log):
        for frame in frames_of(rest[:size], "s1", PREFIX):
            fields = json.loads(frame)
            event: SessionEvent | None = decode_session_event(frame)
            assert event is not None
            place = Place(7, int(fields["cursor"].split(".")[2]))
            outcomes.append(transcript.apply(event, place, fields.get("first_sequence")))
        rest = rest[size:]
    assert Outcome.OVERLAP not in outcomes
    assert without_places(transcript.messages) == without_places(fold_of_records(log))


@pytest.mark.parametrize(
    "field",
    ['"cursor":"9.9.9"', '"\\u0063ursor":"9.9.9"', '"first_sequence":1', '"cursor":null,"later":1'],
)
def test_a_record_that_names_a_cursor_itself_is_given_with_ours(field: str) -> None:
    """A frame that was kept and put into the log again sent its readers elsewhere."""
    event = chunk(2, "the cursor")
    value = encode(event)[:-1] + b"," + field.encode() + b"}"
    decoded = decode_session_event(value)
    assert decoded == event
    frame = json.loads(spliced(Record(1, 0, "s1", value), decoded, PREFIX))
    assert frame["cursor"] == "7.3.1"
    assert "first_sequence" not in frame


def test_a_text_that_speaks_of_cursors_is_given_as_it_was_read() -> None:
    value = encode(chunk(1, 'a "cursor", \x1b'))[:-1] + b',"later":1}'
    decoded = decode_session_event(value)
    assert decoded is not None
    assert spliced(Record(1, 0, "s1", value), decoded, PREFIX).endswith(b',"later":1}')
