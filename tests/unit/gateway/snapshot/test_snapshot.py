"""What a snapshot shows, and what it only says to be over."""

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.snapshot.snapshot import end_lost, shown, snapshot
from schemas.cursor import Cursor
from schemas.events import Prompt
from schemas.frames import Snapshot, encode
from schemas.limits import ENDED_MAX_IDS, SNAPSHOT_MAX_BYTES
from schemas.transcript import Message, MessageState, Place, Transcript

EPOCH = 7
AT = "2026-01-01T00:00:00.000Z"


def message(message_id: str, state: MessageState, last: int, text: str = "text") -> Message:
    return Message(
        message_id,
        prompt=Prompt(content=f"prompt of {message_id}", created_at=AT),
        state=state,
        attempt="a1",
        fence=(EPOCH, 1, 0),
        last_sequence=1,
        first=Place(EPOCH, last),
        last=Place(EPOCH, last),
        contents=[text],
    )


def made(
    messages: Sequence[Message],
    *,
    joined: int = 1000,
    history: int = 0,
    log_start: int = 0,
    max_bytes: int = SNAPSHOT_MAX_BYTES,
) -> Snapshot:
    return snapshot(
        "s1",
        Transcript(messages={one.message_id: one for one in messages}),
        Cursor(EPOCH, 3, 999),
        joined=Place(EPOCH, joined),
        history=history,
        log_start=log_start,
        max_bytes=max_bytes,
    )


def ids(frame: Snapshot) -> list[str]:
    return list(dict.fromkeys(entry.message_id for entry in frame.messages))


def test_an_empty_session() -> None:
    frame = made([])
    assert (frame.cursor, list(frame.messages), list(frame.ended)) == ("7.3.999", [], [])


def test_running_and_queued_ones_are_always_shown() -> None:
    frame = made([message("m1", "generating", 1), message("m2", "queued", 2)])
    assert ids(frame) == ["m1", "m2"]


def test_finished_ones_are_named_in_ended() -> None:
    frame = made([message("m1", "complete", 1), message("m2", "error", 2)])
    assert (ids(frame), list(frame.ended)) == ([], ["m1", "m2"])


def test_history_chooses_the_newest_finished_ones() -> None:
    messages = [message(f"m{number}", "complete", number) for number in range(5)]
    frame = made(messages, history=2)
    assert (ids(frame), list(frame.ended)) == (["m3", "m4"], ["m0", "m1", "m2"])


def test_what_ended_since_the_join_is_shown_because_its_frames_are_dropped_as_older() -> None:
    # Joined at 8, ended at 21, Postgres was slow, the snapshot comes at 54 and asks no history.
    frame = made([message("m0", "complete", 7), message("m1", "complete", 21)], joined=8)
    assert (ids(frame), list(frame.ended)) == (["m1"], ["m0"])


def test_what_ended_at_the_very_record_of_the_join_is_shown() -> None:
    assert ids(made([message("m1", "complete", 8)], joined=8)) == ["m1"]


def test_ended_names_only_what_the_log_still_holds() -> None:
    messages = [message(f"m{number}", "complete", number) for number in range(5)]
    assert list(made(messages, log_start=3).ended) == ["m3", "m4"]


def test_ended_is_bounded_the_newest_stay() -> None:
    messages = [message(f"m{number}", "complete", number) for number in range(ENDED_MAX_IDS + 5)]
    ended = made(messages, joined=10**6).ended
    assert (len(ended), ended[0], ended[-1]) == (ENDED_MAX_IDS, "m5", f"m{ENDED_MAX_IDS + 4}")


def test_reasoning_counts_towards_the_size_of_a_snapshot() -> None:
    messages = [message(f"m{number}", "complete", number) for number in range(3)]
    messages[0].reasoning_contents = ["hm" * 2000]
    assert ids(made(messages, history=3, max_bytes=3500)) == ["m1", "m2"]
    assert ids(made(messages, history=3)) == ["m0", "m1", "m2"]
    assert '"reasoning":"hmhm' in encode(made(messages, history=3)).decode()


def test_too_large_a_snapshot_drops_the_oldest_finished_ones_into_ended() -> None:
    messages = [message(f"m{number}", "complete", number, "x" * 1000) for number in range(5)]
    frame = made(messages, history=5, max_bytes=3500)
    assert (ids(frame), list(frame.ended)) == (["m3", "m4"], ["m0", "m1", "m2"])


def test_the_running_one_is_never_dropped() -> None:
    messages = [
        message("m1", "generating", 1, "x" * 10_000),
        message("m2", "complete", 2, "x"),
        message("m3", "queued", 3, ""),
    ]
    frame = made(messages, history=5, max_bytes=1000)
    assert (ids(frame), list(frame.ended)) == (["m1", "m3"], ["m2"])


def test_a_message_has_two_entries_what_was_said_and_the_answer_so_far() -> None:
    frame = json.loads(encode(made([message("m1", "generating", 1, "so far")])))
    said, answer = frame["messages"]
    assert (said["role"], said["content"], said["created_at"]) == ("user", "prompt of m1", AT)
    assert (answer["role"], answer["content"], answer["state"]) == (
        "assistant",
        "so far",
        "generating",
    )
    assert (answer["attempt"], answer["fence"], answer["last_sequence"]) == ("a1", [7, 1, 0], 1)


def test_a_message_of_an_earlier_epoch_that_nothing_holds_is_lost() -> None:
    old = message("m1", "generating", 5)
    held = message("m2", "generating", 5)
    ended = message("m3", "complete", 5)
    for one in (old, held, ended):
        one.last = Place(EPOCH - 1, 5)
    end_lost([old, held, ended], EPOCH, 0, lambda message_id: message_id == "m2")
    assert old.state == "error"
    assert old.error is not None
    assert old.error.code == "lost"
    assert (held.state, ended.state) == ("generating", "complete")


STATES: list[MessageState] = ["queued", "generating", "complete", "error"]
states = st.sampled_from(STATES)
some_messages = st.lists(st.tuples(states, st.integers(0, 50)), max_size=12).map(
    lambda drawn: [message(f"m{number}", state, last) for number, (state, last) in enumerate(drawn)]
)


@given(some_messages, st.integers(0, 60), st.integers(0, 15), st.sampled_from([0, 900, 10**6]))
def test_every_message_is_shown_or_named_and_open_ones_are_shown(
    messages: list[Message], joined: int, history: int, max_bytes: int
) -> None:
    frame = made(messages, joined=joined, history=history, max_bytes=max_bytes)
    visible, over = set(ids(frame)), set(frame.ended)
    assert visible | over == {one.message_id for one in messages}
    assert not visible & over
    assert {one.message_id for one in messages if not one.terminal} <= visible


@given(some_messages, some_messages, st.integers(0, 15))
def test_the_texts_read_with_the_rows_are_enough_for_what_the_fold_shows_later(
    stored: list[Message], later: list[Message], history: int
) -> None:
    # Rows are read first; open ones may end and new ones come until the snapshot is made.
    joined = Place(EPOCH, 30)
    loaded = shown(stored, joined, history)
    open_then = {one.message_id for one in stored if not one.terminal}
    for one in stored:
        if not one.terminal and one.last is not None and one.last.offset % 2:
            one.state = "complete"
    new = [message(f"n{number}", one.state, 90) for number, one in enumerate(later)]
    needed = shown([*stored, *new], joined, history)
    assert needed <= loaded | open_then | {one.message_id for one in new}
