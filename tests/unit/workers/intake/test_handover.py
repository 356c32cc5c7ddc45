"""Stories of workers that join, leave, die and wake: each once broke an earlier version."""

from collections import Counter

from schemas.events import Status
from tests.unit.workers.intake.world import Member, World, one_worker, word
from workers.intake.actions import MessageKey
from workers.intake.admission import MUTE_S

M1 = MessageKey("s", "m1")


def two_workers(**bounds: int) -> tuple[World, Member, Member]:
    """The first owns the shard, the second is there."""
    world, first = one_worker(**bounds)
    return world, first, world.member("b")


def begin(world: World, member: Member, *, landed: bool = True) -> None:
    """Bring the next message to its start."""
    member.deliver()
    member.tell_end()
    member.look_up()
    if landed:
        member.land()
        member.read()


def statuses(world: World, state: str) -> list[Status]:
    events = [event for event, _ in world.log]
    return [event for event in events if isinstance(event, Status) and event.state == state]


def test_a_rebalance_restarts_nothing() -> None:
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    first.say()
    world.give_to(second)
    world.settle(1)
    assert world.ended("m1") == "stop"
    assert world.starts == {"m1": 1}
    assert world.committed == 1


def test_the_shard_comes_back_to_the_runner_and_the_message_finds_its_answer() -> None:
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    world.give_to(second)
    second.deliver()
    world.give_to(first)
    world.settle(1)
    assert world.ended("m1") == "stop"
    assert world.starts == {"m1": 1}
    assert world.committed == 1


def test_start_in_flight_at_a_revoke() -> None:
    """The start was sent, the broker has not answered, the shard moves: it is waited for, kept."""
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first, landed=False)
    assert first.intake.starting == 1
    world.give_to(second)
    world.settle(8)
    assert world.starts == {"m1": 1}
    assert world.ended("m1") == "stop"
    assert world.truth.messages["m1"].unended_starts == 1


def test_nothing_starts_between_revoke_and_assignment() -> None:
    world, first = one_worker()
    world.ask("s", "m1")
    first.deliver()
    first.tell_end()
    first.revoke()
    first.look_up()
    first.tick()
    assert not world.starts
    first.assign(owns=True)
    world.settle()
    assert world.committed == 1


def test_a_message_that_had_not_started_is_dropped_by_its_old_owner() -> None:
    world, first, second = two_workers(max_running=1)
    world.ask("x", "m0")
    world.ask("s", "m1")
    begin(world, first)
    first.deliver()
    first.look_up()
    world.give_to(second)
    world.settle(2)
    assert world.starts == {"m0": 1, "m1": 1}
    started = {event.message_id: event.attempt for event in statuses(world, "generating")}
    assert started["m1"] is not None
    assert started["m1"].startswith("b")


def test_ones_own_late_start() -> None:
    """A start that failed lands after the next one: its fence is lower, so it changes nothing."""
    world, first = one_worker()
    world.ask("s", "m1")
    begin(world, first, landed=False)
    first.fail_sends(lambda: False)
    [late] = world.limbo
    # The answer writes `released` before the intake starts another attempt.
    first.say()
    while not (len(first.answers) and first.answers[M1].started):
        first.land()
        first.read()
        world.now += 0.25
        first.tick()
    world.append(late)
    world.settle(2)
    assert world.ended("m1") == "stop"
    message = world.truth.messages["m1"]
    assert message.attempt == "a2"
    assert message.starts == 1
    assert len(statuses(world, "released")) == 1
    fences = [event.fence for event in statuses(world, "generating")]
    assert sorted(f[2] for f in fences if f) == [0, 1]


def test_the_loser_does_not_retry() -> None:
    """A worker that lost the shard and whose answer fails writes `released`, and drops it."""
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    world.give_to(second)
    first.say()
    first.fail_sends(lambda: True)
    world.settle(2)
    assert world.ended("m1") == "stop"
    attempts = [event.attempt for event in statuses(world, "generating")]
    assert attempts == ["a1", "b1"]
    # Nothing is waited for: `released` says at once that nobody runs it.
    assert len(statuses(world, "released")) == 1
    assert world.truth.messages["m1"].unended_starts == 1


def test_a_waking_owner_does_not_restart_a_healthy_answer() -> None:
    """Its timer has run out while it slept, but the answer's events lie unread in its socket."""
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    world.give_to(second)
    second.deliver()
    second.tell_end()
    second.read()
    for _ in range(24):
        world.now += 0.25
        first.say()
        first.land()
        world.append(status_of(first, "alive"))
    second.tick()
    assert not second.answers
    world.settle(2)
    assert world.starts == {"m1": 1}
    assert world.ended("m1") == "stop"


def status_of(member: Member, state: str) -> Status:
    answer = next(iter(member.answers.values()), None)
    attempt = answer.start.attempt if answer else "gone"
    return Status(
        session_id="s",
        message_id="m1",
        created_at="2026-01-01T00:00:00.000Z",
        state=state,  # type: ignore[arg-type]
        attempt=attempt,
    )


def test_a_dead_runner_is_replaced_after_silence() -> None:
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    first.say()
    first.land()
    world.crash(first)
    world.give_to(second)
    world.settle(4.5)
    assert world.ended("m1") is None
    world.settle(2)
    assert world.ended("m1") == "stop"
    assert world.truth.messages["m1"].starts == 2
    assert world.truth.messages["m1"].text.count("m1 a1") == 3, "the second went on"


def test_a_zombie_is_fenced_and_stops() -> None:
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    first.say()
    world.members.remove(first)
    world.give_to(second, told=False)
    world.settle(7)
    assert world.ended("m1") == "stop"
    world.members.append(first)
    world.wake(first)
    world.settle(7)
    assert world.truth.messages["m1"].attempt == "b1"
    assert not first.answers
    assert world.committed == 1


def test_cancel_of_an_answer_that_runs_elsewhere() -> None:
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    world.give_to(second)
    world.cancel("s", "m1")
    for _ in range(2):
        second.deliver()
    second.tell_end()
    second.read()
    second.land()
    assert [event.reason for event in statuses(world, "cancelling")] == ["cancel"]
    world.settle()
    assert world.ended("m1") == "cancelled"
    assert world.starts == {"m1": 1}
    assert world.committed == 2


def test_silence_is_not_counted_twice_by_who_knows_the_brokers_clock() -> None:
    """The group has noticed the death after six seconds already."""
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    first.say()
    first.land()
    world.crash(first)
    world.now += 6
    second.clock.heard(world.ms, world.now)
    world.give_to(second)
    world.settle()
    assert world.starts == {"m1": 2}
    assert world.ended("m1") == "stop"


def test_who_knows_the_brokers_clock_waits_for_one_that_was_heard_of() -> None:
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    first.say()
    first.land()
    world.crash(first)
    world.now += 3
    second.clock.heard(world.ms, world.now)
    world.give_to(second)
    world.settle(1.5)
    assert world.starts == {"m1": 1}
    world.settle(1)
    assert world.starts == {"m1": 2}


def test_who_knows_the_brokers_clock_reads_all_before_it_says_that_nothing_was_said() -> None:
    """The attempt has said a word before: it is no suspect, which would wait anyhow."""
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    first.say()
    first.land()
    first.say = lambda: False  # type: ignore[method-assign]
    world.give_to(second)
    world.settle()
    assert world.truth.messages["m1"].text
    read, second.read = second.read, lambda count=0: False  # type: ignore[method-assign]
    world.now += 6
    first.answers[M1].step()
    first.land()
    second.clock.heard(world.ms, world.now)
    for _ in range(3):
        second.tick()
        second.tell_end()
    assert world.starts == {"m1": 1}
    second.read = read  # type: ignore[method-assign]
    world.now += 6
    second.clock.heard(world.ms, world.now)
    for _ in range(3):
        second.tick()
        second.tell_end()
        second.read()
    assert world.starts == {"m1": 2}, "it is taken over when all is read, and nothing came"


def test_cancel_of_a_silent_answer_ends_it_with_its_attempt() -> None:
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    world.crash(first)
    world.give_to(second)
    world.cancel("s", "m1")
    world.settle(7)
    assert world.ended("m1") == "cancelled"
    assert world.truth.messages["m1"].attempt == "a1"
    assert world.starts == {"m1": 1}


def test_interrupt_lost_in_a_crash() -> None:
    """m2 interrupts m1 and is cancelled; the owner dies before m1 ended. m1 must not run on."""
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    world.ask("s", "m2", "interrupt")
    first.deliver()
    world.cancel("s", "m2")
    first.deliver()
    first.look_up()
    first.land()
    first.read()
    assert world.ended("m2") == "cancelled"
    assert world.ended("m1") is None
    world.crash(first)
    world.give_to(second)
    world.settle(8)
    assert world.ended("m1") == "interrupted"
    assert world.committed == 3


def until_started(world: World, member: Member, message: str, *, speaks: bool) -> bool:
    """Let time pass until an answer has started and is read back; False if it has ended instead."""
    for _ in range(80):
        for step in (member.deliver, member.tell_end, member.look_up, member.land, member.read):
            while step():
                pass
        if world.ended(message) is not None:
            return False
        answer = next((a for key, a in member.answers.items() if key.message_id == message), None)
        if answer is not None and answer.started:
            said = answer.chunks if speaks else -1
            # One that goes on says the text so far before its first own word.
            while speaks and answer.chunks < said + 1 + (answer.start.continues is not None):
                member.say()
                while member.land():
                    pass
                member.read()
            return True
        world.now += 0.25
        member.tick()
    raise AssertionError(f"{message} does not start")


def test_what_dies_mute_three_times_is_poison() -> None:
    """Of two that die in their first moments each time, neither begins a fourth time."""
    world, member = one_worker()
    for other in ("m1", "x1"):
        world.ask(other[0], other)
    for name in ("b", "c"):
        assert until_started(world, member, "m1", speaks=False)
        world.crash(member)
        member = world.member(name)
        world.give_to(member)
    assert until_started(world, member, "m1", speaks=False)
    # It has died twice: nothing else is in its first moments beside it.
    young = [a for a in member.answers.values() if world.now - a.began_s < MUTE_S]
    assert [answer.key.message_id for answer in young] == ["m1"]
    world.crash(member)
    member = world.member("d")
    world.give_to(member)
    world.settle(30)
    assert world.ended("m1") == "retries_exhausted"
    assert [reason for _, reason in world.dead] == ["retries_exhausted"]
    assert world.ended("x1") == "stop"
    assert world.committed == 2


def test_what_had_spoken_each_time_is_no_poison_and_holds_nobody() -> None:
    """Two kills within one answer's life made it run alone, and every fresh message wait for it."""
    world, member = one_worker()
    world.ask("m", "m1")
    for name in ("b", "c"):
        assert until_started(world, member, "m1", speaks=True)
        world.crash(member)
        member = world.member(name)
        world.give_to(member)
    assert until_started(world, member, "m1", speaks=True)
    world.ask("x", "x1")
    assert until_started(world, member, "x1", speaks=True)
    world.settle(8)
    assert world.ended("m1") == world.ended("x1") == "stop"


def test_a_poison_message_costs_its_neighbours_a_start_each_time_and_no_word() -> None:
    """It kills its process whenever its model is called; m1 to m5 run beside it, for seconds."""
    world, member = one_worker()
    neighbours = [f"m{number}" for number in range(1, 6)]
    for name in (*neighbours, "p"):
        world.ask(name, name)
    rounds, beside = 0, Counter[str]()
    while world.ended("p") is None:
        rounds += 1
        world.now += 0.25
        member.tick()
        for step in (member.deliver, member.tell_end, member.look_up, member.land, member.read):
            while step():
                pass
        answers = list(member.answers.values())
        for answer in answers if rounds % 4 == 0 else ():
            if answer.key.message_id != "p":
                answer.step()
        poison = member.answers.get(MessageKey("p", "p"))
        if poison is not None and poison.started and rounds > 4:  # its neighbours have spoken
            beside.update(answer.key.message_id for answer in answers)
            world.crash(member)
            member = world.member(f"w{rounds}")
            world.give_to(member)
    world.settle(8)
    assert world.ended("p") == "retries_exhausted"
    assert [world.ended(name) for name in neighbours] == ["stop"] * 5
    assert beside["p"] == world.starts["p"] == 3
    assert all(world.starts[name] == 1 + beside[name] >= 2 for name in neighbours)
    # None had died without a word; that no text has shrunk the world itself has seen.
    assert world.deaths == {"p": 2} | dict.fromkeys(neighbours, 0)
    assert [world.truth.messages[name].text for name in neighbours] == [
        "".join(word(MessageKey(name, name), f"a{at}", n) for n in (1, 2, 3))
        for at, name in enumerate(neighbours, 1)
    ]


def test_redelivery_of_what_was_acknowledged_but_not_committed() -> None:
    world, member = one_worker()
    world.ask("s", "m1")
    world.settle()
    world.committed = 0  # the commit did not get through
    world.give_to(member)
    world.settle()
    assert world.committed == 1
    assert world.starts == {"m1": 1}
    assert len(world.history) == 1


def test_a_new_owner_stores_what_the_old_one_did_not() -> None:
    world, first, second = two_workers()
    world.ask("s", "m1")
    first.store = lambda: False  # type: ignore[method-assign]
    world.settle()
    assert world.ended("m1") == "stop"
    assert world.committed == 0
    world.crash(first)
    world.give_to(second)
    world.settle()
    assert world.committed == 1
    assert world.history["m1"] == world.truth.messages["m1"].text


def test_a_zombie_that_reads_of_another_start_lets_its_model_go() -> None:
    world, first, second = two_workers()
    world.ask("s", "m1")
    begin(world, first)
    first.say()
    world.members.remove(first)
    world.give_to(second, told=False)
    while not second.answers:
        world.now += 0.25
        second.tick()
        for step in (second.deliver, second.tell_end, second.look_up, second.land, second.read):
            step()
    first.read()
    assert first.answers[M1].over == "abandoned"


def test_the_next_start_after_a_failed_one_is_not_at_once() -> None:
    world, first = one_worker()
    world.ask("s", "m1")
    begin(world, first, landed=False)
    first.fail_sends(lambda: True)
    world.settle()
    assert world.starts == {"m1": 1}
    world.settle(1)
    assert world.starts == {"m1": 2}
    assert world.ended("m1") == "stop"
