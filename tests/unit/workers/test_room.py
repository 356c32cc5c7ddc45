"""Who starts when there is room."""

from schemas.events import UserMessage
from workers.held import Work
from workers.room import (
    ALONE_PATIENCE_S,
    MUTE_PATIENCE_S,
    MUTE_STEPS_BACK_S,
    TRIAL_S,
    Room,
    Running,
)
from workers.verdict import Care

FRESH, SPOKE, MUTE, ALONE = (Running(care, TRIAL_S) for care in Care)


def work(token: int, care: Care = Care.FRESH) -> Work:
    message = UserMessage(
        session_id="s", message_id=f"m{token}", created_at="2026-01-01T00:00:00.000Z", content="?"
    )
    made = Work(
        token=token,
        shard=0,
        generation=1,
        message=message,
        offsets=[token],
        accepted_ms=0,
        traceparent=None,
        asked_before=0,
    )
    made.care = care
    return made


def ready(max_running: int, *works: Work) -> Room:
    room = Room(max_running)
    for each in works:
        room.ask(each, 100.0)
    return room


def test_first_come_first_served_up_to_the_bound() -> None:
    one, two, three = work(1), work(2), work(3)
    room = ready(3, one, two, three)
    room.ask(one, 200.0)
    assert room.next([FRESH], 100.0) == [one, two]
    room.leave(one)
    assert room.next([FRESH], 100.0) == [two, three]
    assert room.next([FRESH] * 3, 100.0) == []


def test_alone_waits_until_nothing_runs_and_others_pass_it_for_a_while() -> None:
    poison, other = work(1, Care.ALONE), work(2)
    room = ready(10, poison, other)
    assert room.next([FRESH], 100.0) == [other]
    assert room.next([FRESH], 100.0 + ALONE_PATIENCE_S) == []
    assert room.next([], 100.0) == [poison]
    assert room.next([ALONE], 100.0) == []


def test_who_died_without_a_word_begins_after_those_who_had_spoken_and_beside_fresh_ones() -> None:
    mute, spoke, fresh = work(1, Care.MUTE), work(2, Care.SPOKE), work(3)
    room = ready(10, mute, spoke, fresh)
    later = 100.0 + MUTE_STEPS_BACK_S
    assert room.next([], later) == [spoke, fresh]
    room.leave(spoke)
    room.leave(fresh)
    assert room.next([SPOKE, FRESH], later) == []
    assert room.next([FRESH], later) == [mute]


def test_who_died_without_a_word_begin_one_at_a_time() -> None:
    one, two = work(1, Care.MUTE), work(2, Care.MUTE)
    room = ready(10, one, two)
    later = 100.0 + MUTE_STEPS_BACK_S
    assert room.next([], later) == [one]
    room.leave(one)
    assert room.next([MUTE], later) == []
    assert room.next([], later) == [two]


def test_a_mute_message_lets_the_others_of_its_process_fall_silent_first() -> None:
    room = ready(10, work(1, Care.MUTE))
    assert room.next([], 100.0) == []


def test_beside_a_mute_message_only_fresh_ones_begin_in_its_first_moments() -> None:
    spoke, fresh = work(1, Care.SPOKE), work(2)
    room = ready(10, spoke, fresh)
    assert room.next([Running(Care.MUTE, 0.0)], 100.0) == [fresh]
    assert room.next([MUTE], 100.0) == [spoke, fresh]


def test_a_mute_message_waits_for_a_bounded_time() -> None:
    one, two = work(1, Care.MUTE), work(2, Care.MUTE)
    room = ready(10, one, two)
    assert room.next([SPOKE], 100.0 + MUTE_PATIENCE_S) == [one, two]


def test_each_that_waits_is_told_of_once() -> None:
    one, two = work(1), work(2)
    room = ready(1, one, two)
    room.leave(one)
    assert room.take_waiting() == [two]
    assert room.take_waiting() == []
    assert two in room
    assert one not in room
