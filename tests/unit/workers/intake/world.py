"""A log, a group and some workers, all simulated: what the intake decides meets what can happen.

One shard. Every step that a real system takes by itself (a record is delivered, a send is
acknowledged, the log is read on, an answer says its next word) is a method here, so that a test or
a random generator chooses their order. The answers are as simple as can be: `words` chunks, then a
terminal.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.events import (
    Cancel,
    Chunk,
    Complete,
    OnBusy,
    SessionEvent,
    Status,
    UserEvent,
    UserMessage,
    encode,
)
from schemas.shard_log import Record
from schemas.transcript import Message, Outcome, Place, Transcript
from tests.worker_defaults import bounds as some_bounds
from workers.attempt.events_out import event_of, prompt_of
from workers.intake import actions
from workers.intake.actions import AttemptEnd as Ended
from workers.intake.actions import Delivery, MessageKey
from workers.intake.broker_clock import BrokerClock
from workers.intake.continuing import MUTE_DEATHS_ANEW
from workers.intake.intake import Intake
from workers.intake.state import Bounds

EPOCH = 7
WORDS = 3
AT = "2026-01-01T00:00:00.000Z"


@dataclass
class Sent:
    """A send that the broker has neither acknowledged nor refused."""

    event: SessionEvent
    landed: Callable[[int], None]
    failed: Callable[[], None]


@dataclass
class SimAnswer:
    """An answer task: what `workers.attempt.attempt` does, without a model."""

    member: "Member"
    start: actions.Start
    words: int = 0
    chunks: int = 0
    so_far: actions.GoOn | None = None
    started: bool = False
    waits: bool = False  # for a send
    ending: str | None = None
    over: str | None = None
    ended: bool = False
    began_s: float = 0.0

    @property
    def key(self) -> MessageKey:
        return MessageKey(self.start.message.session_id, self.start.message.message_id)

    def begin(self) -> None:
        self.began_s = self.member.world.now
        message = self.start.message
        self.member.world.read_to[self.start.attempt] = self.member.end_told
        event = Status(
            session_id=message.session_id,
            message_id=message.message_id,
            created_at=AT,
            state="generating",
            attempt=self.start.attempt,
            fence=self.start.fence,
            prompt=prompt_of(message),
            continues=self.start.continues,
        )

        def landed(_: int) -> None:
            self.waits, self.started = False, True
            self.member.intake.started(self.key, self.start.attempt)
            self.member.perform()

        self._send(event, landed)

    @property
    def able(self) -> bool:
        """Whether it has something to do: no send is under way, and it knows how to go on."""
        over = self.over is not None or self.ending is not None
        knows = self.start.continues is None or self.so_far is not None
        return not self.waits and (over or knows)

    def step(self) -> None:
        """Say the next word, or end."""
        if not self.able or self.ended:
            return
        if self.over == "abandoned":
            self._end(Ended.ABANDONED, None)
        elif self.over == "released":
            self._send(self._status("released"), lambda at: self._end(Ended.RELEASED, at))
        elif self.ending is not None or self.words == WORDS:
            self._send(self._terminal(), lambda at: self._end(Ended.TERMINAL, at))
        elif self.so_far is not None and self.so_far.text and not self.chunks:
            self.words = self.so_far.text.count("[")
            self._send(self._chunk(self.so_far.text), lambda _: self._go_on())
        else:
            self.words += 1
            self._send(self._chunk(self._word()), lambda _: self._go_on())

    def _go_on(self) -> None:
        self.waits = False

    def _send(self, event: SessionEvent, landed: Callable[[int], None]) -> None:
        self.waits = True

        def failed() -> None:
            self.waits = False
            # A terminal is sent again; anything else that fails ends the attempt.
            if not isinstance(event, Complete):
                self.over = self.over or "released"

        self.member.send(event, landed, failed)

    def _end(self, outcome: Ended, offset: int | None) -> None:
        self.ended = True
        del self.member.answers[self.key]
        self.member.intake.answered(
            self.key, self.start.attempt, outcome, offset, self.member.world.now
        )
        self.member.perform()

    def _status(self, state: str) -> Status:
        return Status(
            session_id=self.key.session_id,
            message_id=self.key.message_id,
            created_at=AT,
            state=state,  # type: ignore[arg-type]
            attempt=self.start.attempt,
        )

    def _word(self) -> str:
        """A model that goes on with a text names its words as that does."""
        so_far = self.so_far.text if self.so_far is not None else ""
        name = so_far.split()[1] if so_far else self.start.attempt
        return word(self.key, name, self.words)

    def _chunk(self, content: str) -> Chunk:
        self.chunks += 1
        return Chunk(
            session_id=self.key.session_id,
            message_id=self.key.message_id,
            created_at=AT,
            attempt=self.start.attempt,
            sequence=self.chunks,
            content=content,
        )

    def _terminal(self) -> Complete:
        return Complete(
            session_id=self.key.session_id,
            message_id=self.key.message_id,
            created_at=AT,
            attempt=self.start.attempt,
            last_sequence=self.chunks,
            finish_reason=self.ending or "stop",
        )


def word(key: MessageKey, attempt: str, number: int) -> str:
    """What an answer says: names its message, attempt and place, so that a mix is seen."""
    return f"[{key.message_id} {attempt} {number}]"


class Member:
    """A worker process: an intake, its answers, and everything that is under way."""

    def __init__(self, world: "World", name: str, bounds: Bounds) -> None:
        self.world = world
        self.name = name
        self._ids = 0
        self.clock = BrokerClock()
        self.intake = Intake(epoch=EPOCH, bounds=bounds, new_id=self._new_id, clock=self.clock)
        self.answers: dict[MessageKey, SimAnswer] = {}
        self.in_flight: list[Sent] = []
        self.look_ups: list[actions.LookUp] = []
        self.stores: list[actions.Store] = []
        self.noted: list[actions.NoteEnd] = []
        self.remembers = True  # whether the turns find a history
        self.ends_asked: list[actions.AskEnd] = []
        self.end_told = 0
        self.follows = False
        self.position = 0
        self.next_offset = 0
        self.reading = True
        self.member_of: int | None = None  # the generation that it believes in
        self.acked: list[int] = []
        self.forgone: list[MessageKey] = []

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self.name}{self._ids}"

    # -- what its environment does

    def deliver(self) -> bool:
        """Deliver the next record; False if there is none or delivery is stopped."""
        world = self.world
        if world.owner is not self or self.member_of != world.generation or not self.reading:
            return False
        if self.next_offset >= len(world.users):
            return False
        offset, self.next_offset = self.next_offset, self.next_offset + 1
        event, timestamp_ms = world.users[offset]
        self.intake.delivered(
            Delivery(
                shard=0,
                offset=offset,
                generation=self.member_of,
                timestamp_ms=timestamp_ms,
                size_bytes=100,
                event=event,
                refused=None if event is not None else "not an event",
            ),
            world.now,
        )
        self.perform()
        return True

    def read(self, count: int = 1_000_000) -> bool:
        """Read the session log on; False if there is nothing new."""
        if not self.follows or self.position >= len(self.world.log):
            return False
        records = self.world.records(self.position, count)
        self.position += len(records)
        self.intake.records(0, records, self.world.now)
        self.perform()
        return True

    def land(self) -> bool:
        """The broker acknowledges the oldest send."""
        if not self.in_flight:
            return False
        sent = self.in_flight.pop(0)
        offset = self.world.append(sent.event)
        self.clock.heard(self.world.ms, self.world.now)
        sent.landed(offset)
        return True

    def fail_sends(self, failing: Callable[[], bool]) -> None:
        """The producer is replaced: all that is under way is unknown; `failing`: it never lands."""
        in_flight, self.in_flight = self.in_flight, []
        for sent in in_flight:
            if not failing():
                self.world.limbo.append(sent.event)
        for sent in in_flight:
            sent.failed()

    def send(
        self, event: SessionEvent, landed: Callable[[int], None], failed: Callable[[], None]
    ) -> None:
        self.in_flight.append(Sent(event, landed, failed))

    def say(self) -> bool:
        """Every answer says its next word or ends; False if there is none that could."""
        able = [answer for answer in self.answers.values() if answer.able]
        for answer in able:
            answer.step()
        return bool(able)

    def look_up(self) -> bool:
        if not self.look_ups:
            return False
        asked = self.look_ups.pop(0)
        stored = self.world.fold(self.world.stored_to).messages.get(asked.key.message_id)
        over = stored is not None and stored.terminal
        self.intake.looked_up(asked.token, over=over, sure=True, now_s=self.world.now)
        self.perform()
        return True

    def store(self) -> bool:
        if not self.stores:
            return False
        action = self.stores.pop(0)
        if self.remembers:
            self.world.history[action.key.message_id] = action.answer
        self.intake.stored(action.token, self.world.now, remembered=self.remembers)
        self.perform()
        return True

    def tell_end(self) -> bool:
        if not self.ends_asked:
            return False
        asked = self.ends_asked.pop(0)
        self.end_told = len(self.world.log)
        self.intake.end_known(0, asked.asked, self.end_told, self.world.now)
        self.perform()
        return True

    def tick(self) -> None:
        rested = self.intake.rests
        self.intake.tick(self.world.now)
        if rested:  # its worker would not even have ticked
            assert not self.intake.take()
        self.perform()

    def revoke(self) -> None:
        """The member hears that it has to give everything back."""
        self.member_of = None
        self.intake.revoking()
        self.perform()

    def assign(self, *, owns: bool) -> None:
        self.member_of = self.world.generation if owns else None
        self.next_offset = self.world.committed
        self.reading = True
        self.intake.assigned([0] if owns else [], self.world.now)
        self.perform()

    # -- what the intake wants

    def perform(self) -> None:
        while (chosen := self.intake.take()) or self.intake.unjudged:
            for action in chosen:
                self._perform(action)
            self.intake.go_on(self.world.now)

    def _perform(self, action: actions.Action) -> None:
        match action:
            case actions.Start():
                answer = SimAnswer(self, action)
                assert answer.key not in self.answers
                self.answers[answer.key] = answer
                self.world.started(answer.key)
                answer.begin()
            case actions.GoOn():
                self.answers[action.key].so_far = action
            case actions.Stop():
                answer = self.answers[action.key]
                answer.ending = "cancelled" if action.reason == "cancel" else "interrupted"
            case actions.Abandon():
                self.answers[action.key].over = "abandoned"
            case actions.Write():
                self._write(action)
            case actions.DeadLetter():
                self.world.dead.append((action.offset, action.reason))
                self.intake.dead_lettered(0, action.offset, self.world.now)
            case actions.Outranked():
                pass
            case actions.LookIntoGap():
                raise AssertionError("no offset is left out here")
            case actions.LookUp():
                self.look_ups.append(action)
            case actions.Store():
                self.stores.append(action)
            case actions.Forgo():
                self.forgone.append(action.key)
            case actions.NoteEnd():
                self.noted.append(action)
            case actions.Follow():
                self.follows = True
                self.position = self.world.offset_at(action.from_ms)
                self.intake.following(0, self.position, self.world.now)
            case actions.AskEnd():
                self.ends_asked.append(action)
            case actions.Unfollow():
                self.follows = False
            case actions.Ack():
                self.acked.append(action.offset)
                self.world.commit(self, action.offset)
            case actions.StopReading():
                self.reading = False
            case actions.ReadOn():
                self.reading = True

    def _write(self, action: actions.Write) -> None:
        def outcome(offset: int | None) -> None:
            self.intake.written(action.token, action.event, offset, self.world.now)
            self.perform()

        event = event_of(action.event, action.message, AT, action.prompt_offset)
        self.send(event, outcome, lambda: outcome(None))


@dataclass
class World:
    """One shard of both topics, and its consumer group."""

    bounds: Bounds = field(default_factory=some_bounds)
    now: float = 1000.0
    users: list[tuple[UserEvent | None, int]] = field(default_factory=list)
    log: list[tuple[SessionEvent, int]] = field(default_factory=list)
    limbo: list[SessionEvent] = field(default_factory=list)
    dead: list[tuple[int, str]] = field(default_factory=list)
    history: dict[str, str] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    owner: Member | None = None
    generation: int = 0
    committed: int = 0
    stored_to: int = 0
    truth: Transcript = field(default_factory=Transcript)
    deaths: Counter[str] = field(default_factory=Counter)
    mute: dict[str, int] = field(default_factory=dict)
    """Who was not heard of since its start, and whether its next chunk is the text so far."""
    begun: dict[str, int] = field(default_factory=dict)
    """Where the newest start of each message lies."""
    read_to: dict[str, int] = field(default_factory=dict)
    """How far the log was known by whoever made the attempt."""

    def member(self, name: str) -> Member:
        member = Member(self, name, self.bounds)
        self.members.append(member)
        return member

    # -- people

    def ask(
        self, session: str, message: str, on_busy: OnBusy = "enqueue", user: str | None = None
    ) -> None:
        event = UserMessage(
            session_id=session,
            message_id=message,
            created_at=AT,
            content="?",
            on_busy=on_busy,
            user=user,
        )
        self.users.append((event, self.ms))

    def cancel(self, session: str, message: str) -> None:
        event = Cancel(session_id=session, message_id=message, created_at=AT)
        self.users.append((event, self.ms))

    def garbage(self) -> None:
        self.users.append((None, self.ms))

    # -- the log

    @property
    def ms(self) -> int:
        return int(self.now * 1000)

    def append(self, event: SessionEvent) -> int:
        """The event is in the log from now on; the truth is folded along, and rules are checked."""
        offset = len(self.log)
        self.log.append((event, self.ms))
        before = self.truth.messages.get(event.message_id)
        text = before.text if before is not None else ""
        outcome = self.truth.apply(event, Place(EPOCH, offset))
        self._count_deaths(event, outcome)
        if text and not self.truth.messages[event.message_id].text.startswith(text):
            assert self._may_begin_anew(event), f"a shorter text by {event}"
        if outcome is Outcome.STARTED:
            self.begun[event.message_id] = offset
            self._check_order(event)
        return offset

    def _may_begin_anew(self, event: SessionEvent) -> bool:
        """Say whether people may see a shorter text.

        It may be this text that kills its worker. Or nobody could know of it: the start before was
        still under way when its shard moved, and came into the log after the end that its new
        owner had to read to.
        """
        died = self.deaths[event.message_id] >= MUTE_DEATHS_ANEW
        return (
            died
            or self.begun[event.message_id] >= self.read_to[getattr(event, "attempt", None) or ""]
        )

    def _count_deaths(self, event: SessionEvent, outcome: Outcome) -> None:
        """Count the starts that were followed by no word of their own."""
        message_id = event.message_id
        if outcome is Outcome.STARTED:
            self.deaths[message_id] += message_id in self.mute
            self.mute[message_id] = len(self.truth.messages[message_id].contents)
        elif outcome is Outcome.CHUNK and self.mute.get(message_id):
            self.mute[message_id] = 0
        elif outcome.counts:
            self.mute.pop(message_id, None)

    def _check_order(self, event: SessionEvent) -> None:
        for before, _ in self.users:
            if isinstance(before, UserMessage) and before.session_id == event.session_id:
                if before.message_id == event.message_id:
                    return
                view = self.truth.messages.get(before.message_id)
                assert view is not None, f"{event.message_id} began before {before.message_id}"
                assert view.terminal, f"{event.message_id} began before {before.message_id} ended"

    def records(self, start: int, count: int) -> list[Record]:
        chosen = self.log[start : start + count]
        return [
            Record(start + i, ms, event.session_id, encode(event))
            for i, (event, ms) in enumerate(chosen)
        ]

    def offset_at(self, ms: int) -> int:
        return next((i for i, (_, at) in enumerate(self.log) if at >= ms), len(self.log))

    def fold(self, end: int) -> Transcript:
        transcript = Transcript()
        for offset, (event, _) in enumerate(self.log[:end]):
            transcript.apply(event, Place(EPOCH, offset))
        return transcript

    def view(self, message: str) -> Message | None:
        return self.truth.messages.get(message)

    def ended(self, message: str) -> str | None:
        """How a message ended: its finish reason or error code; None if it did not."""
        view = self.view(message)
        if view is None or not view.terminal:
            return None
        return view.error.code if view.error else view.finish_reason

    def started(self, key: MessageKey) -> None:
        self.starts[key.message_id] = self.starts.get(key.message_id, 0) + 1

    # -- the group

    def commit(self, member: Member, offset: int) -> None:
        if member is not self.owner or member.member_of != self.generation:
            return
        assert offset == self.committed, "acknowledged out of order"
        event, _ = self.users[offset]
        if isinstance(event, UserMessage):
            assert self.ended(event.message_id), f"{event.message_id} acknowledged, not ended"
        self.committed += 1

    def give_to(self, member: Member, *, told: bool = True) -> None:
        """Move the shard. Not `told`: the old owner is stopped and hears nothing of it."""
        old = self.owner
        if told and old is not None and old in self.members:
            old.revoke()
            while old.intake.starting:
                assert old.land() or old.say()
        self.generation += 1
        self.owner = member
        if told and old is not None and old is not member and old in self.members:
            old.assign(owns=False)
        if member is not old:
            member.revoke()
        member.assign(owns=True)

    def wake(self, member: Member) -> None:
        """A member that was stopped hears that it is no member any more."""
        if member is not self.owner and member.member_of is not None:
            member.revoke()
            member.assign(owns=False)

    def crash(self, member: Member) -> None:
        self.limbo.extend(sent.event for sent in member.in_flight)
        self.members.remove(member)
        if self.owner is member:
            self.owner = None

    # -- let everything happen

    def settle(self, seconds: float = 0.0) -> None:
        """Everything that can happen does, fairly, until nothing more does or time is up."""
        until = self.now + seconds
        while True:
            busy = True
            while busy:
                busy = False
                for member in self.members:
                    for step in (
                        member.deliver,
                        member.tell_end,
                        member.look_up,
                        member.land,
                        member.read,
                        member.say,
                        member.store,
                    ):
                        busy = step() or busy
                self.stored_to = len(self.log)
            if self.now >= until:
                return
            self.now += 0.25
            for member in self.members:
                member.tick()


def one_worker(**bounds: int) -> tuple[World, Member]:
    """A world with one worker that owns the shard."""
    world = World(bounds=some_bounds(**bounds))
    member = world.member("a")
    world.give_to(member)
    return world, member
