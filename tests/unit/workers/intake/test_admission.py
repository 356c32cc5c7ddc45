"""Who starts when there is room."""

from schemas.events import UserMessage
from workers.intake.admission import (
    ALONE_PATIENCE_S,
    SPOKE_PATIENCE_S,
    SPOKE_STEPS_BACK_S,
    SUSPECT_PATIENCE_S,
    SUSPECT_STEPS_BACK_S,
    TRIAL_S,
    Room,
    Running,
)
from workers.intake.decision import Care
from workers.intake.state import Work

FRESH, SPOKE, MUTE, ALONE = (Running(care, TRIAL_S, mute=False) for care in Care)
TRIED = Running(Care.MUTE, 0.0, mute=True)


def starts(room: Room, running: list[Running], now: float, *, folding: bool = False) -> list[Work]:
    return room.next(running, now, folding=folding)


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
    assert starts(room, [FRESH], 100.0) == [one, two]
    room.leave(one)
    assert starts(room, [FRESH], 100.0) == [two, three]
    assert starts(room, [FRESH] * 3, 100.0) == []


def test_alone_waits_until_nothing_runs_and_others_pass_it_for_a_while() -> None:
    poison, other = work(1, Care.ALONE), work(2)
    room = ready(10, poison, other)
    assert starts(room, [FRESH], 100.0) == [other]
    assert starts(room, [FRESH], 100.0 + ALONE_PATIENCE_S) == []
    assert starts(room, [], 100.0) == [poison]
    assert starts(room, [ALONE], 100.0) == []


def test_the_suspect_begins_first_and_the_others_after_its_first_moments() -> None:
    suspect, spoke, fresh = work(1, Care.MUTE), work(2, Care.SPOKE), work(3)
    room = ready(10, spoke, suspect, fresh)
    assert starts(room, [], 100.0) == [fresh]
    later = 100.0 + SPOKE_STEPS_BACK_S
    assert starts(room, [FRESH], later) == [suspect, fresh]  # in the order of becoming ready
    room.leave(suspect)
    room.leave(fresh)
    assert starts(room, [TRIED, FRESH], later) == []
    assert starts(room, [MUTE, FRESH], later) == [spoke]


def test_of_the_suspects_it_is_the_one_that_had_started_last() -> None:
    early, last = work(1, Care.MUTE), work(2, Care.MUTE)
    early.mute_since_ms, last.mute_since_ms = 5, 7
    room = ready(10, early, last)
    later = 100.0 + SUSPECT_STEPS_BACK_S
    assert starts(room, [], later) == [last]
    room.leave(last)
    assert starts(room, [TRIED], later) == []
    assert starts(room, [MUTE], later) == [early]


def test_who_had_spoken_waits_until_every_suspect_has_been_tried() -> None:
    suspect, spoke = work(1, Care.MUTE), work(2, Care.SPOKE)
    room = ready(10, spoke, suspect)
    later = 100.0 + SPOKE_STEPS_BACK_S
    assert starts(room, [TRIED], later) == []
    assert starts(room, [MUTE], later) == [suspect]


def test_a_suspect_that_comes_later_waits_for_the_end_of_the_others_that_were_cut() -> None:
    room = ready(10, work(1, Care.MUTE))
    assert starts(room, [SPOKE], 100.0 + SUSPECT_STEPS_BACK_S) == []


def test_a_trial_is_over_when_the_suspect_has_spoken() -> None:
    one, two = work(1, Care.MUTE), work(2, Care.SPOKE)
    room = ready(10, one, two)
    later = 100.0 + SPOKE_STEPS_BACK_S
    assert starts(room, [TRIED], later) == []
    assert starts(room, [Running(Care.MUTE, 0.0, mute=False)], later) == [one]
    room.leave(one)
    assert starts(room, [Running(Care.MUTE, 0.0, mute=False)], later) == [two]


def test_who_had_spoken_waits_for_what_may_become_a_suspect() -> None:
    spoke, other = work(1, Care.SPOKE), work(2, Care.MUTE)
    later = 100.0 + SPOKE_STEPS_BACK_S
    assert starts(ready(10, spoke), [], later, folding=True) == []
    room = ready(10, spoke)
    room.expect(other)
    assert starts(room, [], later) == []
    assert starts(room, [], 100.0 + SPOKE_PATIENCE_S) == [spoke]
    room.leave(other)
    assert starts(room, [], later) == [spoke]
    room.expect(other)
    room.ask(other, 100.0)
    room.leave(other)
    assert starts(room, [], later) == [spoke]


def test_every_wait_is_bounded() -> None:
    one, two, spoke = work(1, Care.MUTE), work(2, Care.MUTE), work(3, Care.SPOKE)
    assert starts(ready(10, one, two), [SPOKE], 100.0 + SUSPECT_PATIENCE_S) == [one, two]
    assert starts(ready(10, one, two), [], 100.0 + SUSPECT_PATIENCE_S) == [one, two]
    assert starts(ready(10, spoke), [TRIED], 100.0 + SPOKE_PATIENCE_S) == [spoke]


def test_who_had_spoken_steps_back_for_a_suspect_whose_shard_is_folded_later() -> None:
    spoke = work(1, Care.SPOKE)
    room = ready(10, spoke)
    assert starts(room, [], 100.0) == []
    assert starts(room, [], 100.0 + SPOKE_STEPS_BACK_S) == [spoke]


def test_each_that_waits_is_told_of_once() -> None:
    one, two = work(1), work(2)
    room = ready(1, one, two)
    room.leave(one)
    assert room.take_waiting() == [two]
    assert room.take_waiting() == []
    assert two in room
    assert one not in room
