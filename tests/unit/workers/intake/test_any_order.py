"""Whatever the order of things: every message ends once, in order, and nothing is lost.

A random generator chooses which of the simulated steps happens next, with crashes, stalls, moves of
the shard, failed sends that land late, duplicates, cancels, interrupts and rejects among them. The
rules of the log are checked at each step (`World`): nothing starts before those before it in its
session have ended, nothing is acknowledged before its end, and only in order. Then everything is
allowed to go on without faults, and all must be well.
"""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import UserMessage
from tests.unit.workers.intake.world import WORDS, Member, World
from tests.worker_defaults import bounds
from workers.intake.actions import MessageKey

SESSIONS = ("s", "t")


def chaos(random: Random, steps: int, *, crashes: bool) -> World:
    """Run a world of up to three workers for so many random steps, then let it come to rest."""
    world = World(bounds=bounds(max_running=random.choice([1, 3]), read_ahead_messages=8))
    names = iter(f"w{number}-" for number in range(1000))
    for _ in range(2):
        world.member(next(names))
    world.give_to(world.members[0])
    asleep: list[Member] = []
    asked: list[MessageKey] = []

    def ask() -> None:
        if len(asked) > 12:
            return
        key = MessageKey(random.choice(SESSIONS), f"m{len(asked)}")
        asked.append(key)
        kinds = ("enqueue", "enqueue", "enqueue", "reject", "interrupt")
        world.ask(*key, random.choice(kinds))  # type: ignore[arg-type]

    def duplicate() -> None:
        if asked:
            world.ask(*random.choice(asked))

    def cancel() -> None:
        if asked:
            world.cancel(*random.choice(asked))

    def move() -> None:
        if asleep:
            return
        if len(world.members) < 3:
            world.member(next(names))
        world.give_to(random.choice(world.members))

    def sleep() -> None:
        """A worker is stopped, and the group gives its shard to another."""
        if len(world.members) > 1 and not asleep:
            member = random.choice(world.members)
            world.members.remove(member)
            asleep.append(member)
            if world.owner is member:
                world.give_to(random.choice(world.members), told=False)

    def wake() -> None:
        if asleep:
            member = asleep.pop()
            world.members.append(member)
            world.wake(member)

    def crash() -> None:
        world.crash(random.choice(world.members))
        if not world.members:
            world.member(next(names))
        if world.owner is None:
            world.give_to(random.choice(world.members), told=False)

    def late() -> None:
        if world.limbo:
            world.append(world.limbo.pop(random.randrange(len(world.limbo))))

    def persist() -> None:
        world.stored_to = random.randint(world.stored_to, len(world.log))

    def pass_time() -> None:
        world.now += random.choice([0.1, 0.25, 1.0, 3.0])
        for member in world.members:
            member.tick()

    def some(step: Callable[[Member], object]) -> Callable[[], None]:
        return lambda: void(step(random.choice(world.members)))

    usual = [
        ask,
        some(Member.deliver),
        some(Member.tell_end),
        some(Member.look_up),
        some(Member.land),
        some(Member.land),
        some(lambda member: member.read(random.randint(1, 5))),
        some(Member.say),
        some(Member.store),
        pass_time,
    ]
    rare = [duplicate, cancel, move, sleep, wake, late, persist]
    rare.append(some(lambda member: member.fail_sends(lambda: random.random() < 0.5)))
    if crashes:
        rare.append(crash)
    for _ in range(steps):
        random.choice(rare if random.random() < 0.08 else usual)()
    wake()
    world.settle(60)
    return world


def void(_: object) -> None:
    """Throw a result away."""


def check(world: World) -> None:
    for event, _ in world.users:
        if isinstance(event, UserMessage):
            assert world.ended(event.message_id), f"{event.message_id} has not ended"
    assert world.committed == len(world.users)
    for message_id, message in world.truth.messages.items():
        assert not message.damaged
        if message.finish_reason == "stop":
            assert message.text.count("[") == WORDS
        name = message.text.split()[1] if message.text else ""
        expected = [f"[{message_id} {name} {n + 1}]" for n in range(WORDS)]
        assert message.text == "".join(expected[: message.text.count("[")])
        if message.text:
            assert world.history[message_id] == message.text
    for member in world.members:
        assert not member.answers
        assert not member.in_flight


@pytest.mark.parametrize("crashes", [False, True])
@given(random=st.randoms(use_true_random=False), steps=st.integers(50, 600))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_everything_ends_once_in_order(random: Random, steps: int, crashes: bool) -> None:
    check(chaos(random, steps, crashes=crashes))


def test_joins_and_leaves_alone_restart_nothing() -> None:
    for seed in range(40):
        random = Random(seed)
        world = World()
        for name in "abc":
            world.member(name)
        world.give_to(world.members[0])
        for number in range(8):
            world.ask(f"s{number % 4}", f"m{number}")
        for _ in range(300):
            member = random.choice(world.members)
            if random.random() < 0.05:
                world.give_to(random.choice(world.members))
            else:
                random.choice(
                    [
                        member.deliver,
                        member.tell_end,
                        member.look_up,
                        member.land,
                        member.read,
                        member.say,
                        member.store,
                    ]
                )()
        world.settle(60)
        check(world)
        assert set(world.starts.values()) == {1}, seed
