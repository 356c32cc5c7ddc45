"""What the intake must do about records and ends that come later than one would think."""

from itertools import count

from schemas.events import Cancel, Complete, Event, OnBusy, Prompt, Status, UserMessage, encode
from schemas.shard_log import Record
from tests.worker_defaults import bounds
from workers.attempt.events_out import event_of
from workers.intake.actions import (
    Abandon,
    Action,
    AskEnd,
    AttemptEnd,
    Delivery,
    EndedEarly,
    Follow,
    LookUp,
    MessageKey,
    Outranked,
    Start,
    Stop,
    Unfollow,
    Write,
)
from workers.intake.intake import Intake


class Shard:
    """Shard 0 with its log, and an intake that owns it."""

    def __init__(self) -> None:
        ids = count(1)
        self.intake = Intake(epoch=1, bounds=bounds(), new_id=lambda: f"a{next(ids)}")
        self.event = 0
        self.end = 0
        self.taken: list[Action] = []
        self.intake.assigned([0], 0.0)

    def say(self, session: str, message: str, at: str, on_busy: OnBusy = "enqueue") -> None:
        event = UserMessage(
            session_id=session, message_id=message, created_at=at, content="?", on_busy=on_busy
        )
        self.intake.delivered(Delivery(0, self.event, 1, 1000, 100, event), 0.0)
        self.event += 1
        self.go_on()

    def cancel(self, session: str, message: str) -> None:
        event = Cancel(
            session_id=session, message_id=message, created_at="2026-01-01T00:00:00.000Z"
        )
        self.intake.delivered(Delivery(0, self.event, 1, 1000, 100, event), 0.0)
        self.event += 1
        self.go_on()

    def read(self, *events: Event) -> None:
        records = [
            Record(self.end + index, 2000, event.session_id, encode(event))
            for index, event in enumerate(events)
        ]
        self.end += len(records)
        self.intake.records(0, records, 0.0)
        self.go_on()

    def go_on(self) -> None:
        while actions := self.intake.take():
            self.taken += actions
            for action in actions:
                if isinstance(action, Follow):
                    self.intake.following(0, 0, 0.0)
                elif isinstance(action, AskEnd):
                    self.intake.end_known(0, action.asked, self.end, 0.0)
                elif isinstance(action, LookUp):
                    self.intake.looked_up(action.token, over=False, sure=True, now_s=0.0)

    def start_of(self, message: str) -> Start:
        starts = (action for action in self.taken if isinstance(action, Start))
        return next(start for start in starts if start.message.message_id == message)


def begun(start: Start) -> Status:
    message = start.message
    return Status(
        session_id=message.session_id,
        message_id=message.message_id,
        created_at=message.created_at,
        state="generating",
        attempt=start.attempt,
        fence=start.fence,
        prompt=Prompt(content=message.content, created_at=message.created_at),
    )


def released(start: Start) -> Status:
    message = start.message
    return Status(
        session_id=message.session_id,
        message_id=message.message_id,
        created_at=message.created_at,
        state="released",
        attempt=start.attempt,
    )


def ended(start: Start) -> Complete:
    message = start.message
    return Complete(
        session_id=message.session_id,
        message_id=message.message_id,
        created_at=message.created_at,
        attempt=start.attempt,
        last_sequence=0,
        finish_reason="stop",
    )


def test_an_interrupting_message_sent_again_does_not_stop_what_was_said_after_it() -> None:
    shard = Shard()
    shard.say("s", "m1", "2026-01-01T00:00:00.000Z", "interrupt")
    first = shard.start_of("m1")
    shard.read(begun(first), ended(first))
    shard.intake.answered(MessageKey("s", "m1"), first.attempt, AttemptEnd.TERMINAL, 1, 0.0)
    shard.go_on()
    shard.say("s", "m2", "2026-01-01T00:01:00.000Z")
    shard.read(begun(shard.start_of("m2")))
    # The client has lost its socket, does not know what became of m1, and sends it again.
    shard.say("s", "m1", "2026-01-01T00:01:01.000Z", "interrupt")
    assert not [action for action in shard.taken if isinstance(action, Stop)]


def test_an_interrupting_message_stops_what_was_said_before_it() -> None:
    shard = Shard()
    shard.say("s", "m1", "2026-01-01T00:00:00.000Z")
    shard.read(begun(shard.start_of("m1")))
    shard.say("s", "m2", "2026-01-01T00:00:01.000Z", "interrupt")
    assert Stop(MessageKey("s", "m1"), "interrupt") in shard.taken


def test_an_answer_and_a_write_of_a_lost_shard_may_be_read_back_at_once() -> None:
    shard = Shard()
    shard.say("s", "m1", "2026-01-01T00:00:00.000Z")
    shard.say("s", "m2", "2026-01-01T00:00:00.000Z")
    start = shard.start_of("m1")
    shard.read(begun(start))
    shard.intake.started(MessageKey("s", "m1"), start.attempt)
    shard.cancel("s", "m2")
    write = next(a for a in shard.taken if isinstance(a, Write) and isinstance(a.event, EndedEarly))
    shard.intake.answered(MessageKey("s", "m1"), start.attempt, AttemptEnd.TERMINAL, 1, 1.0)
    shard.intake.written(write.token, write.event, 2, 1.0)
    shard.intake.revoking()
    shard.intake.assigned((), 1.0)
    shard.read(ended(start), event_of(write.event, write.message, "2026-01-01T00:00:01.000Z"))
    assert shard.intake.running == 0
    assert [action for action in shard.taken if isinstance(action, Unfollow)] == [Unfollow(0)]


def test_an_attempt_that_its_owner_has_ended_is_given_up_by_its_runner() -> None:
    shard = Shard()
    shard.say("s", "m1", "2026-01-01T00:00:00.000Z")
    start = shard.start_of("m1")
    shard.read(begun(start))
    shard.intake.started(MessageKey("s", "m1"), start.attempt)
    shard.intake.revoking()
    shard.intake.assigned((), 1.0)
    # This process was stopped, the new owner heard nothing, and ended the attempt as cancelled.
    shard.read(ended(start))
    assert Abandon(MessageKey("s", "m1")) in shard.taken


def test_a_start_that_would_be_fenced_is_not_sent_and_that_is_said_once() -> None:
    """A group that began anew within an epoch asked the model 145 times in 120 s, for nothing."""
    message = UserMessage(
        session_id="s", message_id="m1", created_at="2026-01-01T00:00:00.000Z", content="?"
    )
    theirs = Start(0, message, "b1", (1, 7, 0), 0, None)
    shard = Shard()
    shard.say("t", "m0", message.created_at)
    shard.read(begun(theirs), released(theirs))
    shard.say("s", "m1", message.created_at)
    for tenth in range(400):
        shard.intake.tick(tenth / 10)
        shard.go_on()
    starts = [action for action in shard.taken if isinstance(action, Start)]
    assert [start.message.message_id for start in starts] == ["m0"]
    outranked = [action for action in shard.taken if isinstance(action, Outranked)]
    assert outranked == [Outranked(0, MessageKey("s", "m1"), (1, 1, 0), (1, 7, 0))]
