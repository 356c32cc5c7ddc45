"""A session is forgotten while its messages wait, run, and have just ended."""

import pytest

from schemas.events import Chunk, Event
from tests.unit.workers.intake.test_what_comes_late import Shard, begun, ended
from tests.written import Say
from workers.intake.actions import (
    Abandon,
    Ack,
    AttemptEnd,
    ForgetHistory,
    MessageKey,
    Start,
    Store,
    Write,
)

AT = "2026-01-01T00:00:00.000Z"


def told(start: Start, event: Event) -> Event:
    """As a worker writes it: with the place of its prompt."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**fields | {"prompt_offset": start.prompt_offset})


def text(start: Start) -> Chunk:
    return Chunk(
        session_id="s",
        message_id=start.message.message_id,
        created_at=AT,
        attempt=start.attempt,
        sequence=1,
        content="text",
    )


@pytest.fixture
def shard() -> Shard:
    """m1 runs, m2 waits; they are the records 0 and 1."""
    shard = Shard()
    shard.say("s", "m1", AT)
    shard.say("s", "m2", AT)
    start = shard.start_of("m1")
    shard.read(told(start, begun(start)), text(start))
    return shard


def forget(shard: Shard, said_before: int) -> None:
    shard.taken.clear()
    shard.read(Say("s", "f").forgotten(said_before))


def acked(shard: Shard) -> list[int]:
    return [action.offset for action in shard.taken if isinstance(action, Ack)]


def started(shard: Shard) -> list[str]:
    return [a.message.message_id for a in shard.taken if isinstance(a, Start)]


def test_what_runs_is_abandoned_and_nothing_more_is_written_of_what_waits(shard: Shard) -> None:
    forget(shard, said_before=2)
    assert [a for a in shard.taken if isinstance(a, Abandon)] == [Abandon(MessageKey("s", "m1"))]
    assert acked(shard) == [0, 1]
    assert not [a for a in shard.taken if isinstance(a, Write | Start | Store)]
    assert ForgetHistory("s", 2) in [a for a in shard.taken if isinstance(a, ForgetHistory)]


def test_what_is_said_afterwards_is_answered(shard: Shard) -> None:
    forget(shard, said_before=2)
    shard.say("s", "m3", AT)
    assert shard.start_of("m3").prompt_offset == 2


def test_what_was_said_afterwards_and_waited_already_is_answered(shard: Shard) -> None:
    shard.say("s", "m3", AT)
    forget(shard, said_before=2)
    assert acked(shard) == [0, 1]
    assert started(shard) == ["m3"]


def test_what_was_said_before_and_is_delivered_afterwards_is_over() -> None:
    shard = Shard()
    shard.say("t", "n1", AT)  # the log is read from now on
    shard.read(Say("s", "f").forgotten(said_before=2))
    shard.say("s", "m1", AT)
    shard.say("s", "m2", AT)
    assert started(shard) == ["n1", "m2"]
    shard.read(
        ended(shard.start_of("n1")), begun(shard.start_of("n1")), ended(shard.start_of("n1"))
    )
    assert acked(shard) == [0, 1]


def test_a_start_that_lands_behind_the_event_is_abandoned() -> None:
    shard = Shard()
    shard.say("s", "m1", AT)
    start = shard.start_of("m1")
    shard.read(Say("s", "f").forgotten(said_before=1), told(start, begun(start)))
    assert Abandon(MessageKey("s", "m1")) in shard.taken
    shard.intake.answered(MessageKey("s", "m1"), start.attempt, AttemptEnd.ABANDONED, None, 0.0)
    shard.go_on()
    assert started(shard) == ["m1"]  # once, before


def test_a_message_that_has_just_ended_is_acknowledged_while_it_is_stored(shard: Shard) -> None:
    start = shard.start_of("m1")
    shard.read(ended(start))
    shard.intake.answered(MessageKey("s", "m1"), start.attempt, AttemptEnd.TERMINAL, 2, 0.0)
    shard.go_on()
    [storing] = [action for action in shard.taken if isinstance(action, Store)]
    forget(shard, said_before=2)
    assert acked(shard) == [0, 1]
    shard.intake.stored(storing.token, 0.0)  # it comes too late to matter
    shard.go_on()


def test_another_session_feels_nothing_of_it(shard: Shard) -> None:
    shard.say("t", "n1", AT)
    start = shard.start_of("n1")
    forget(shard, said_before=2)
    assert Abandon(MessageKey("t", start.message.message_id)) not in shard.taken


def test_the_event_is_forgotten_in_time_and_the_fold_says_so(shard: Shard) -> None:
    forget(shard, said_before=2)
    at_hand = shard.intake.at_hand(0, "s")
    assert at_hand is not None
    assert at_hand.forgotten is not None
    fold = shard.intake.membership.shards[0].fold
    assert fold is not None
    fold.forget_before(10**9, lambda _: False)
    assert fold.at_hand("s").forgotten is None
    assert fold.forgotten_to == shard.end
    assert not fold._sessions
