"""One tick for all: what is due leaves together, each shard by itself; each attempt ends right."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import Chunk, Complete, Error, Status
from schemas.limits import ALIVE_EVERY_S
from tests.unit.workers.attempt.attempts import CHUNK_EVERY_S, Running, Says, World, settle
from workers.attempt.pacing import WAITING_MAX_BYTES, tick_every_s
from workers.intake.actions import AttemptEnd
from workers.model.faults import FaultKind, fault
from workers.model.stream import Delta, Finished, Text

DONE = Finished("stop", None)


@pytest.mark.parametrize(
    ("running", "every_ms"),
    [(1, 5), (4, 5), (5, 7.5), (10, 7.5), (11, 15), (20, 15), (50, 40), (100, 65), (1000, 100)],
)
def test_the_more_answers_run_the_longer_a_tick_waits(running: int, every_ms: float) -> None:
    assert tick_every_s(running, CHUNK_EVERY_S) == pytest.approx(every_ms / 1000)


def test_the_setting_is_the_least_where_many_run() -> None:
    assert tick_every_s(30, 0.2) == 0.2
    assert tick_every_s(1, 0.0) == 0.005


async def test_what_is_due_in_one_shard_leaves_as_one_batch() -> None:
    async with World([0, 0, 0, 1]) as world:
        for each in world.attempts:
            each.say("first ")
        await settle()
        await world.let_go()
        await world.let_go()
        for each in world.attempts:
            each.say("second")
        world.log.batches.clear()
        await world.beat()
        assert sorted((batch.shard, len(batch.events)) for batch in world.log.batches) == [
            (0, 3),
            (1, 1),
        ]
        await world.let_go()
        assert [each.text for each in world.attempts] == ["first second"] * 4


async def test_the_first_text_does_not_wait_for_a_tick() -> None:
    async with World([0]) as world:
        [one] = world.attempts
        one.say("first")
        await settle()
        await world.let_go()
        assert one.text == "first"


async def test_first_texts_on_a_busy_shard_leave_when_it_is_free() -> None:
    async with World([0, 0, 0]) as world:
        for each in world.attempts:
            each.say("first")
            await settle()
        await world.let_go()
        assert [len(batch.events) for batch in world.log.batches] == [1, 2]


async def test_two_beats_never_have_one_shard_in_hand() -> None:
    """They did, where the shard was marked after the batch was handed over: 4,200 tokens lost."""
    async with World([0, 0]) as world:
        one, other = world.attempts
        one.say("a")
        await settle()
        await world.let_go()
        one.say("b")
        other.say("c")
        # In one turn of the loop: the first text's own beat, and two ticks.
        world.tick.beat(now_s=asyncio.get_running_loop().time() + 1)
        world.tick.beat(now_s=asyncio.get_running_loop().time() + 2)
        await settle()
        for _ in range(3):
            await world.let_go()
        assert (one.text, other.text) == ("ab", "c")


async def test_a_shard_that_stalls_holds_up_no_other() -> None:
    async with World([0, 1]) as world:
        stalled, other = world.attempts
        stalled.say("a")
        other.say("x")
        await settle()
        world.log.let_go(1)
        for content in "yz":
            stalled.say(content)
            other.say(content)
            await world.beat()
            world.log.let_go(1)
            await settle()
        assert (stalled.text, other.text) == ("", "xyz")
        await world.let_go()
        await world.beat()
        await world.let_go()
        assert stalled.text == "ayz"


async def test_a_failed_batch_ends_the_attempts_that_are_in_it_and_no_other() -> None:
    async with World([0, 0, 0]) as world:
        first, second, other = world.attempts
        first.say("a")
        await settle()
        world.log.let_go(0)
        await settle()
        first.say("b")
        second.say("a")
        await settle()
        await world.beat()
        world.log.fail(0, "landed")
        other.say("c")
        other.model.say(DONE)
        await settle()
        await world.let_go()
        await world.beat()
        await world.let_go()
        assert (await other.task)[0] is AttemptEnd.TERMINAL
        assert other.fold().text == "c"
        assert (await second.task)[0] is AttemptEnd.RELEASED
        assert second.fold().released
        assert not first.task.done()


async def test_the_last_record_comes_behind_what_is_in_flight() -> None:
    async with World([0]) as world:
        [one] = world.attempts
        one.say("a")
        await settle()
        one.attempt.release()
        await settle()
        assert not one.task.done()
        await world.let_go()
        assert (await one.task)[0] is AttemptEnd.RELEASED
        assert [type(event) for event in one.events[-2:]] == [Chunk, Status]


class Turns:
    """Counts the turns of the loop while it runs."""

    def __init__(self) -> None:
        self.now = 0

    async def run(self) -> None:
        while True:
            self.now += 1
            await asyncio.sleep(0)


class SaysAllAtOnce(Says):
    """A model with a backlog, of which a read gives one part; a tick has time for a few."""

    is_backlogged = True

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns
        self._read_at_s = 0.0
        self.read_at: list[int] = []

    def read(self, now_s: float) -> Delta | None:
        if now_s == self._read_at_s or not self.waiting:
            return None
        self._read_at_s = now_s
        self.read_at.append(self._turns.now)
        time.sleep(0.003)
        return super().read(now_s)


async def test_who_says_all_at_once_is_read_one_a_turn_and_nobody_else_waits_for_it() -> None:
    turns = Turns()
    fast = [SaysAllAtOnce(turns) for _ in range(20)]
    async with World([0] * 20 + [1], [*fast, Says()], chunk_every_s=CHUNK_EVERY_S) as world:
        counting = asyncio.create_task(turns.run())
        for each in world.attempts[:20]:
            for _ in range(20):
                each.say("much ")
        slow = world.attempts[20]
        for number in range(1, 20):
            slow.say("a")
            async with asyncio.timeout(60):
                while slow.model.waiting:
                    await world.let_go()
            # All have had a turn before somebody has his second one.
            counts = [len(model.read_at) for model in fast]
            assert max(counts) - min(counts) <= 1, number
        counting.cancel()
    read_at = sorted(at for model in fast for at in model.read_at[1:])
    assert len(read_at) == len(set(read_at)), "two were read in one turn of the loop"


async def test_a_sign_of_life_when_nothing_is_said() -> None:
    async with World([0]) as world:
        [one] = world.attempts
        await world.beat(ALIVE_EVERY_S / 2)
        assert not world.log.held
        await world.beat(ALIVE_EVERY_S)
        await world.let_go()
        assert [e.state for e in one.events if isinstance(e, Status)] == ["generating", "alive"]


async def test_the_model_is_not_read_while_as_much_waits_as_may() -> None:
    async with World([0]) as world:
        [one] = world.attempts
        for _ in range(20):
            one.say("x" * (WAITING_MAX_BYTES // 2))
        await settle()
        for _ in range(5):
            await world.beat()
        read = one.model.reads
        assert read < 10
        await world.beat()
        assert one.model.reads == read
        await world.let_go()
        await world.beat()  # what waited leaves, so the next one reads
        await world.beat()
        assert one.model.reads > read


async def test_many_large_chunks_are_several_batches_and_everybody_gets_a_turn() -> None:
    async with World([0] * 12) as world:
        for each in world.attempts:
            each.say("x" * WAITING_MAX_BYTES)
            each.model.say(DONE)
        await settle()
        for _ in range(12):
            await world.beat()
            await world.let_go()
        assert all(each.text == each.said for each in world.attempts)
        assert max(len(batch.events) for batch in world.log.batches) < 12


# -- in any order --------------------------------------------------------------------------------

SHARDS = [0, 0, 1, 1]
ATTEMPT = st.integers(0, len(SHARDS) - 1)
SHARD = st.sampled_from([0, 1])
STEP = st.one_of(
    st.tuples(st.just("say"), ATTEMPT, st.text("ab😀", min_size=1, max_size=4)),
    st.tuples(st.just("say"), ATTEMPT, st.just("x" * WAITING_MAX_BYTES)),
    st.tuples(st.just("beat"), st.floats(0.0, 2.0)),
    st.tuples(st.just("let go"), SHARD),
    st.tuples(st.just("fail"), SHARD, st.sampled_from(["landed", "lost", "late"])),
    st.tuples(st.sampled_from(["done", "fault", "stop", "release", "abandon"]), ATTEMPT),
)


@given(steps=st.lists(STEP, max_size=40))
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_comes_in_whatever_order_each_attempt_ends_as_it_should(
    steps: list[tuple[Any, ...]],
) -> None:
    asyncio.run(_any_order(steps))


async def _any_order(steps: list[tuple[Any, ...]]) -> None:
    async with World(SHARDS) as world:
        for step in steps:
            await _take(world, *step)
        for each in world.attempts:
            each.model.say(DONE)
        for _ in range(100):
            await world.beat()
            await world.let_go()
            if all(each.task.done() for each in world.attempts):
                break
        world.log.land_what_is_late()
        for each in world.attempts:
            assert each.task.done()
            _check(each)


async def _take(world: World, what: str, which: Any, more: Any = None) -> None:
    performed: dict[str, Callable[[Running], None]] = {
        "say": lambda one: one.say(more),
        "done": lambda one: one.model.say(DONE),
        "fault": lambda one: one.model.say(fault(FaultKind.IDLE_TIMEOUT, "scripted")),
        "stop": lambda one: one.attempt.stop("cancel"),
        "release": lambda one: one.attempt.release(),
        "abandon": lambda one: one.attempt.abandon(),
    }
    if what == "beat":
        await world.beat(which)
    elif what == "let go":
        world.log.let_go(which)
    elif what == "fail":
        world.log.fail(which, more)
    else:
        performed[what](world.attempts[which])
    await settle()


def _check(one: Running) -> None:
    end, offset = one.task.result()
    message = one.fold()
    terminals = [event for event in one.events if isinstance(event, Complete | Error)]
    assert len(terminals) == (end is AttemptEnd.TERMINAL)
    assert (offset is None) == (end is AttemptEnd.ABANDONED)
    assert message.released == (end is AttemptEnd.RELEASED)
    assert not message.damaged
    # What was said, from its beginning; all that was taken, if nothing but the model has ended it.
    assert one.said.startswith(message.text)
    if end is AttemptEnd.TERMINAL:
        assert message.text == one.attempt._text.content
        if message.finish_reason == "stop":
            left = "".join(each.content for each in one.model.waiting if isinstance(each, Text))
            assert message.text + left == one.said
    chunks = [event.sequence for event in one.events if isinstance(event, Chunk)]
    assert chunks == sorted(set(chunks))
