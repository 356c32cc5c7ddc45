"""A few questions at a time, heads first."""

from schemas.events import UserMessage
from workers.intake.actions import Action, LookUp
from workers.intake.look_ups import AT_ONCE, LookUps
from workers.intake.state import Work


def work(token: int) -> Work:
    message = UserMessage(
        session_id="s", message_id=f"m{token}", created_at="2026-01-01T00:00:00.000Z", content="?"
    )
    return Work(
        token=token,
        shard=0,
        generation=1,
        message=message,
        offsets=[token],
        accepted_ms=0,
        traceparent=None,
        asked_before=0,
    )


def asked(actions: list[Action]) -> list[int]:
    return [action.token for action in actions if isinstance(action, LookUp)]


def test_a_backlog_is_not_asked_for_at_once() -> None:
    """8,000 look-ups at once left 200 answers without their conversation."""
    actions: list[Action] = []
    look_ups = LookUps(actions)
    for token in range(1_000):
        look_ups.ask(work(token), head=False)
    assert asked(actions) == list(range(AT_ONCE))
    for token in range(AT_ONCE):
        look_ups.answered(token)
    assert asked(actions) == list(range(2 * AT_ONCE))


def test_what_could_start_is_asked_for_first() -> None:
    actions: list[Action] = []
    look_ups = LookUps(actions)
    for token in range(AT_ONCE + 3):
        look_ups.ask(work(token), head=False)
    look_ups.ask(work(AT_ONCE + 2), head=True)
    look_ups.leave(work(AT_ONCE))
    look_ups.answered(0)
    look_ups.answered(1)
    look_ups.answered(2)
    assert asked(actions)[AT_ONCE:] == [AT_ONCE + 2, AT_ONCE + 1]


def test_what_is_not_ours_any_more_still_makes_room_when_it_is_answered() -> None:
    actions: list[Action] = []
    look_ups = LookUps(actions)
    for token in range(AT_ONCE):
        look_ups.ask(work(token), head=True)
    look_ups.clear()
    look_ups.ask(work(100), head=True)
    assert asked(actions) == list(range(AT_ONCE))
    look_ups.answered(3)
    assert asked(actions)[AT_ONCE:] == [100]
