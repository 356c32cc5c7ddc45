"""A worker: the real intake, and a shell that performs its actions in simulated time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from schemas.events import Event, decode_user_event
from schemas.limits import ANSWER_MAX_S, SEND_TIMEOUT_S
from tests.simulation.answer import AT, Answer
from tests.simulation.group import Group
from tests.simulation.log import Broker, Log, Producer, Trimmed
from tests.simulation.memory import Memory
from tests.simulation.truth import Truth
from tests.simulation.world import Process, World
from workers.attempt.events_out import event_of
from workers.handover import Durations, slices
from workers.intake import actions
from workers.intake.actions import Action, AttemptEnd, Delivery, MessageKey
from workers.intake.broker_clock import BrokerClock
from workers.intake.intake import Intake
from workers.intake.state import Bounds

TICK_S = 0.25
HEARTBEAT_S = 1.0


@dataclass(eq=False)
class _Delivering:
    """Reading of one assigned shard of user_messages."""

    generation: int
    log: Log
    position: int
    stopped: bool = False
    due: bool = False


@dataclass(eq=False)
class _Following:
    """Reading of one shard of the session log."""

    log: Log
    position: int
    due: bool = False


class Worker:
    """One process of the tier."""

    def __init__(
        self,
        name: str,
        world: World,
        broker: Broker,
        group: Group,
        truth: Truth,
        memory: Memory,
        bounds: Bounds,
        new_id: Callable[[], str],
    ) -> None:
        self.process = Process(name)
        self.world = world
        self.broker = broker
        self.group = group
        self.truth = truth
        self.memory = memory.of(self)
        self.clock = BrokerClock()
        self.intake = Intake(epoch=broker.epoch, bounds=bounds, new_id=new_id, clock=self.clock)
        self.producer = Producer(broker, self.process)
        self.answers: dict[MessageKey, Answer] = {}
        self.generation = 0
        self._joined_after = 0
        self.on_crash: Callable[[], None] = lambda: None
        self.leaving = False
        self.left = False
        self.slow_tail_s = 0.01
        self._delivering: dict[int, _Delivering] = {}
        self._following: dict[int, _Following] = {}
        self._acknowledged: dict[int, int] = {}
        self._when_started: Callable[[], None] | None = None
        world.say(name, "joins")
        self._join()
        self._heartbeat()
        self._tick()

    # -- the process's life

    def crash(self) -> None:
        self.truth.excuse(self.process.name, "its worker was killed")
        self.world.kill(self.process)
        self.on_crash()
        for delivering in self._delivering.values():
            delivering.log.watchers.pop(delivering, None)
        for following in self._following.values():
            following.log.watchers.pop(following, None)

    def leave(self, grace_s: float) -> None:
        """SIGTERM: leave the group first, let end what can in time, hand over the rest."""
        if not self.leaving:
            self.world.say(self.process.name, "is told to leave")
            self.leaving = True
            self.intake.stopping()
            self._await_starts(lambda: self._leave_group(grace_s))

    def _leave_group(self, grace_s: float) -> None:
        self._commit()
        self.group.leave(self)
        self.left = True
        self._give_up_shards()
        self.intake.assigned((), self.world.now)
        self.perform()
        running = [(key, 0.0) for key in self.answers]
        for at_s, keys in slices(running, Durations(ANSWER_MAX_S), grace_s):
            self._after(at_s, self._release, keys)
        self._exit_if_idle()

    def _release(self, keys: list[MessageKey] | None) -> None:
        for key in list(self.answers) if keys is None else keys:
            if answer := self.answers.get(key):
                answer.release()

    def _exit_if_idle(self) -> None:
        if self.left and not self.answers:
            self.world.kill(self.process)

    # -- membership

    def _join(self) -> None:
        self._joined_after = self.group.generation
        self.group.join(self)

    def _heartbeat(self) -> None:
        if self.left:
            return
        if self._when_started is None and not self.leaving:
            said = self.group.heartbeat(self)
            if said == "fine":
                self._commit()
            else:
                self.world.say(self.process.name, "gives its shards up:", said)
                self._give_up_shards()
                self._await_starts(self._join)
        else:
            self.group.heartbeat(self)
        self._after(HEARTBEAT_S * self.world.random.uniform(0.5, 1), self._heartbeat, timer=True)

    def _give_up_shards(self) -> None:
        for reading in self._delivering.values():
            reading.log.watchers.pop(reading, None)
        self._delivering.clear()
        self._acknowledged.clear()
        self.intake.revoking()
        self.perform()

    def _await_starts(self, then: Callable[[], None]) -> None:
        """Go on when no start is under way; a start that lands later would be nobody's."""
        if "start-in-flight-not-awaited" in self.world.broken:
            then()
            return
        self._when_started = then
        self._after(SEND_TIMEOUT_S, self._go_on_if_started, then, True)
        self._go_on_if_started(then)

    def _go_on_if_started(self, then: Callable[[], None], late: bool = False) -> None:
        if self._when_started is then and (late or not self.intake.starting):
            self._when_started = None
            then()

    def on_assigned(self, generation: int, shards: list[int]) -> None:
        if self.left or self._when_started is not None or generation <= self._joined_after:
            return  # it has given up what this would give it
        self.world.say(self.process.name, f"is given {shards} in generation {generation}")
        self.generation = generation
        for shard in shards:
            log = self.broker.users[shard]
            reading = _Delivering(generation, log, self.group.committed[shard])
            self._delivering[shard] = reading
            log.watchers[reading] = partial(self._deliver_soon, reading)
        self.intake.assigned(shards, self.world.now)
        self.perform()
        for reading in list(self._delivering.values()):
            self._deliver_soon(reading)

    def _commit(self) -> None:
        for shard, offset in self._acknowledged.items():
            self.group.commit(self, self.generation, shard, offset + 1)
        self._acknowledged.clear()

    # -- reading

    def _deliver_soon(self, reading: _Delivering) -> None:
        if not reading.due and not reading.stopped:
            reading.due = True
            self._after(self.world.delay(0.01), self._deliver, reading)

    def _deliver(self, reading: _Delivering) -> None:
        reading.due = False
        if self._delivering.get(reading.log.shard) is not reading:
            return
        for record in reading.log.read(reading.position, self.world.random.randint(1, 4)):
            reading.position = record.offset + 1
            delivery = Delivery(
                shard=reading.log.shard,
                offset=record.offset,
                generation=reading.generation,
                timestamp_ms=record.timestamp_ms,
                size_bytes=len(record.value),
                event=decode_user_event(record.value),
            )
            self.intake.delivered(delivery, self.world.now)
            self.perform()
        if reading.position < reading.log.end:
            self._deliver_soon(reading)

    def _read_soon(self, reading: _Following) -> None:
        if not reading.due:
            reading.due = True
            self._after(self.world.delay(self.slow_tail_s), self._read, reading)

    def _read(self, reading: _Following) -> None:
        reading.due = False
        shard = reading.log.shard
        if self._following.get(shard) is not reading:
            return
        try:
            records = reading.log.read(reading.position, self.world.random.randint(1, 20))
        except Trimmed:
            self.crash()  # a gap: the fold has to be made anew, by another process
            return
        if records:
            reading.position = records[-1].offset + 1
            self.intake.records(shard, records, self.world.now)
            self.perform()
        if reading.position < reading.log.end:
            self._read_soon(reading)

    def _tick(self) -> None:
        self.intake.tick(self.world.now)
        self.perform()
        self._after(TICK_S, self._tick, timer=True)

    # -- answers

    def start_landed(self, answer: Answer) -> None:
        self.clock.heard(self.world.now_ms, self.world.now)
        self.intake.started(answer.key, answer.start.attempt)
        self.perform()
        self._starts_may_be_over()

    def answered(self, answer: Answer, outcome: AttemptEnd, offset: int | None) -> None:
        self.world.say(self.process.name, answer.start.attempt, outcome.name.lower())
        del self.answers[answer.key]
        self.intake.answered(answer.key, answer.start.attempt, outcome, offset, self.world.now)
        self.perform()
        self._starts_may_be_over()
        self._exit_if_idle()

    def _starts_may_be_over(self) -> None:
        if self._when_started is not None:
            self._go_on_if_started(self._when_started)

    # -- performing

    def perform(self) -> None:
        for action in self.intake.take():
            self._perform(action)
        while self.intake.unjudged:
            self.intake.go_on(self.world.now)
            for action in self.intake.take():
                self._perform(action)

    def _perform(self, action: Action) -> None:
        match action:
            case actions.Start():
                self._begin(action)
            case actions.GoOn(key):
                if answer := self.answers.get(key):
                    answer.go_on(action)
            case actions.Stop(key, reason):
                if answer := self.answers.get(key):
                    answer.stop(reason)
            case actions.Abandon(key):
                if answer := self.answers.get(key):
                    answer.abandon()
            case actions.Write():
                self._write(action)
            case actions.DeadLetter(shard, offset):
                self._after(self.world.delay(0.01), self._dead_lettered, shard, offset)
            case actions.Outranked() | actions.NoteEnd():
                pass
            case actions.LookIntoGap():
                raise AssertionError("no offset is left out here")
            case actions.LookUp():
                self.memory.over(action)
            case actions.Store():
                self.memory.store(action)
            case actions.Forgo(key):
                self.memory.forgo(key)
            case actions.Follow(shard, from_ms):
                self._after(self.world.delay(0.02), self._fold, shard, from_ms)
            case actions.AskEnd(shard, asked):
                self._after(self.world.delay(0.004), self._ask_end, shard, asked)
            case actions.Unfollow(shard):
                self._unfollow(shard)
            case actions.Ack(shard, offset):
                self._acknowledged[shard] = offset
            case actions.StopReading(shard):
                self._delivering[shard].stopped = True
            case actions.ReadOn(shard):
                self._delivering[shard].stopped = False
                self._deliver_soon(self._delivering[shard])

    def _begin(self, start: actions.Start) -> None:
        key = MessageKey(start.message.session_id, start.message.message_id)
        if key in self.answers:
            self.truth.broken(f"{self.process.name} runs {key.message_id} twice")
        self.world.say(self.process.name, "starts", key.message_id, start.attempt, start.fence)
        self.answers[key] = Answer(self, start)

    def _write(self, action: actions.Write) -> None:
        event: Event = event_of(action.event, action.message, AT, action.prompt_offset)

        def written(offset: int | None) -> None:
            self.intake.written(action.token, action.event, offset, self.world.now)
            self.perform()

        self.producer.send(self.broker.sessions[action.shard], event, written)

    def _dead_lettered(self, shard: int, offset: int) -> None:
        self.intake.dead_lettered(shard, offset, self.world.now)
        self.perform()

    def _fold(self, shard: int, from_ms: int) -> None:
        log = self.broker.sessions[shard]
        position = log.offset_at(from_ms)
        reading = self._following[shard] = _Following(log, position)
        log.watchers[reading] = lambda: self._read_soon(reading)
        self.intake.following(shard, position, self.world.now)
        self.perform()
        self._read_soon(reading)

    def followed_from(self, shard: int) -> int:
        return self._following[shard].position

    def _ask_end(self, shard: int, asked: float) -> None:
        self.intake.end_known(shard, asked, self.broker.sessions[shard].end, self.world.now)
        self.perform()

    def _unfollow(self, shard: int) -> None:
        reading = self._following.pop(shard, None)
        if reading is not None:
            reading.log.watchers.pop(reading, None)

    def _after(
        self, delay_s: float, function: Callable[..., None], *arguments: object, timer: bool = False
    ) -> None:
        self.world.after(delay_s, function, *arguments, by=self.process, timer=timer)
