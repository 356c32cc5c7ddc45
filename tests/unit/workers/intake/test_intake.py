"""The stories of delivered messages, one worker and no faults."""

from schemas.events import SessionEvent, Status
from tests.unit.workers.intake.world import World, one_worker, word
from workers.intake.actions import MessageKey

M1 = MessageKey("s", "m1")


def queued(world: World) -> list[Status]:
    """The events that say of a message that it waits."""
    events: list[SessionEvent] = [event for event, _ in world.log]
    return [event for event in events if isinstance(event, Status) and event.state == "queued"]


def test_a_message_is_answered_read_back_stored_and_then_acknowledged() -> None:
    world, _member = one_worker()
    world.ask("s", "m1")
    world.settle()
    assert world.ended("m1") == "stop"
    assert world.truth.messages["m1"].text == "".join(word(M1, "a1", n) for n in (1, 2, 3))
    assert world.history["m1"] == world.truth.messages["m1"].text
    assert world.committed == 1
    assert world.starts == {"m1": 1}


def test_the_end_of_a_users_message_is_noted_once_and_nobodys_is_not() -> None:
    world, member = one_worker()
    world.ask("s", "m1", user="ada")
    world.ask("s", "m2")
    world.ask("s", "m3", on_busy="reject", user="ada")
    world.settle()
    assert world.committed == 3
    noted = sorted((each.user, each.key.message_id) for each in member.noted)
    assert noted == [("ada", "m1"), ("ada", "m3")]


def test_a_text_stays_at_hand_if_no_history_took_it() -> None:
    world, member = one_worker()
    for message_id, remembers in (("m1", True), ("m2", False)):
        member.remembers = remembers
        world.ask("s", message_id)
        world.settle()
    assert world.committed == 2
    at_hand = member.intake.at_hand(0, "s")
    assert at_hand is not None
    said = {each.message_id: each.text for each in at_hand.messages}
    assert said == {"m1": "", "m2": world.truth.messages["m2"].text}


def test_nothing_is_acknowledged_before_its_terminal_is_read_back() -> None:
    world, member = one_worker()
    world.ask("s", "m1")
    world.settle()
    world.ask("s", "m2")
    member.deliver()
    while world.ended("m2") is None:
        member.look_up()
        member.tell_end()
        member.land()
        member.say()
    assert world.committed == 1
    assert not member.stores
    member.read()
    assert member.stores
    assert world.committed == 1
    member.store()
    assert world.committed == 2


def test_messages_of_a_session_run_one_after_another_and_those_that_wait_say_so() -> None:
    world, _member = one_worker()
    for message in ("m1", "m2", "m3"):
        world.ask("s", message)
    world.settle()
    assert [world.ended(m) for m in ("m1", "m2", "m3")] == ["stop"] * 3
    assert [(event.message_id, event.position) for event in queued(world)] == [("m2", 1), ("m3", 2)]
    assert world.committed == 3


def test_sessions_run_beside_each_other_up_to_the_bound() -> None:
    world, member = one_worker(max_running=2)
    for number in range(4):
        world.ask(f"s{number}", f"m{number}")
    while member.deliver():
        pass
    member.tell_end()
    while member.look_up():
        pass
    assert member.intake.running == 2
    world.settle()
    assert world.committed == 4
    assert {event.position for event in queued(world)} == {0}


def test_acknowledgement_waits_for_the_oldest() -> None:
    world, member = one_worker()
    world.ask("slow", "m1")
    world.ask("fast", "m2")
    while member.deliver():
        pass
    member.tell_end()
    while member.look_up():
        pass
    slow = member.answers.pop(next(key for key in member.answers if key.message_id == "m1"))
    world.settle()
    assert world.ended("m2") == "stop"
    assert world.committed == 0
    member.answers[slow.key] = slow
    world.settle()
    assert world.committed == 2


def test_an_undecodable_record_goes_to_the_dead_letters_and_the_partition_goes_on() -> None:
    world, _member = one_worker()
    world.garbage()
    world.ask("s", "m1")
    world.settle()
    assert world.dead == [(0, "not an event")]
    assert world.ended("m1") == "stop"
    assert world.committed == 2


def test_a_second_record_of_a_message_joins_the_first() -> None:
    world, _member = one_worker()
    world.ask("s", "m1")
    world.ask("s", "m1")
    world.settle()
    world.ask("s", "m1")
    world.settle()
    assert world.starts == {"m1": 1}
    assert world.committed == 3


def test_a_duplicate_that_the_fold_has_forgotten_is_looked_up() -> None:
    world, _member = one_worker()
    world.ask("s", "m1")
    world.settle()
    world.now += 1000
    world.ask("other", "m2")
    world.settle(60)
    world.now += 1000
    world.ask("other", "m3")
    world.settle(60)
    world.ask("s", "m1")
    world.settle()
    assert world.starts["m1"] == 1
    assert world.committed == 4


def test_reading_stops_at_the_bound_and_goes_on() -> None:
    world, member = one_worker(read_ahead_messages=10, max_running=1)
    for number in range(40):
        world.ask(f"s{number}", f"m{number}")
    while member.deliver():
        pass
    assert member.intake.membership.unfinished == 10
    world.settle()
    assert world.committed == 40


def test_cancel_before_the_start_ends_without_an_attempt() -> None:
    world, _member = one_worker(max_running=1)
    world.ask("busy", "m0")
    world.ask("s", "m1")
    world.cancel("s", "m1")
    world.settle()
    assert world.ended("m1") == "cancelled"
    assert world.truth.messages["m1"].attempt is None
    assert "m1" not in world.starts
    assert world.committed == 3


def test_cancel_of_a_running_answer_stops_it_and_keeps_its_text() -> None:
    world, member = one_worker()
    world.ask("s", "m1")
    member.deliver()
    member.tell_end()
    member.look_up()
    member.land()
    member.say()
    member.land()
    world.cancel("s", "m1")
    world.settle()
    assert world.ended("m1") == "cancelled"
    assert world.truth.messages["m1"].text == word(M1, "a1", 1)
    assert world.history["m1"] == world.truth.messages["m1"].text


def test_cancel_after_the_end_does_nothing() -> None:
    world, _member = one_worker()
    world.ask("s", "m1")
    world.settle()
    length = len(world.log)
    world.cancel("s", "m1")
    world.settle()
    assert len(world.log) == length
    assert world.committed == 2


def test_reject_is_busy_only_while_an_answer_runs() -> None:
    world, _member = one_worker()
    world.ask("s", "m1")
    world.ask("s", "m2", "reject")
    world.settle()
    world.ask("s", "m3", "reject")
    world.settle()
    assert [world.ended(m) for m in ("m1", "m2", "m3")] == ["stop", "busy", "stop"]
    assert world.committed == 3


def test_busy_after_the_end() -> None:
    """The user has seen m1's terminal and sends m2; the worker has not read the terminal back."""
    world, member = one_worker()
    world.ask("s", "m1")
    world.settle()
    world.ask("s", "m2")
    member.deliver()
    while world.ended("m2") is None:
        member.look_up()
        member.land()
        member.say()
    world.ask("s", "m3", "reject")
    member.deliver()
    member.look_up()
    member.tell_end()
    assert world.ended("m3") is None
    world.settle()
    assert world.ended("m3") == "stop"


def test_a_message_that_only_waits_for_its_history_is_not_busy() -> None:
    world, member = one_worker()
    world.ask("s", "m1")
    member.deliver()
    while world.ended("m1") is None or member.read():
        member.tell_end()
        member.look_up()
        member.land()
        member.say()
    assert member.stores
    world.ask("s", "m2", "reject")
    stores, member.stores = member.stores, []
    world.settle()
    assert world.ended("m2") == "stop"
    assert world.committed == 0
    member.stores = stores
    world.settle()
    assert world.committed == 2


def test_more_than_the_queue_holds_is_busy() -> None:
    world, _member = one_worker()
    for number in range(8):
        world.ask("s", f"m{number}")
    world.settle()
    ends = [world.ended(f"m{number}") for number in range(8)]
    assert ends == ["stop"] * 6 + ["busy"] * 2
    assert world.committed == 8


def test_interrupt_ends_everything_before_it_in_order() -> None:
    world, member = one_worker()
    world.ask("s", "m1")
    world.ask("s", "m2")
    while member.deliver():
        pass
    member.tell_end()
    member.look_up()
    member.land()
    world.ask("s", "m3", "interrupt")
    world.settle()
    assert [world.ended(m) for m in ("m1", "m2", "m3")] == ["interrupted", "interrupted", "stop"]
    ends = [e.message_id for e, _ in world.log if type(e).__name__ == "Complete"]
    assert ends == ["m1", "m2", "m3"]


def test_messages_that_wait_only_for_history_are_given_up_beyond_the_bound() -> None:
    world, member = one_worker(waiting_for_history=2)
    member.store = lambda: False  # type: ignore[method-assign]
    for number in range(5):
        world.ask(f"s{number}", f"m{number}")
    world.settle()
    assert [key.message_id for key in member.forgone] == ["m0", "m1", "m2"]
    assert world.committed == 3
