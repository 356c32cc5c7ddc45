"""Who starts when there is room."""

from schemas.events import UserMessage
from workers.held import Work
from workers.room import ALONE_PATIENCE_S, Room


def work(token: int, *, alone: bool = False) -> Work:
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
    made.alone = alone
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
    assert room.next(1, 100.0) == [one, two]
    room.leave(one)
    assert room.next(1, 100.0) == [two, three]


def test_alone_waits_until_nothing_runs_and_others_pass_it_for_a_while() -> None:
    poison, other = work(1, alone=True), work(2)
    room = ready(10, poison, other)
    assert room.next(1, 100.0) == [other]
    assert room.next(1, 100.0 + ALONE_PATIENCE_S) == []
    assert room.next(0, 100.0) == [poison]


def test_each_that_waits_is_told_of_once() -> None:
    one, two = work(1), work(2)
    room = ready(1, one, two)
    room.leave(one)
    assert room.take_waiting() == [two]
    assert room.take_waiting() == []
    assert two in room
    assert one not in room
