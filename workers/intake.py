"""The life of every delivered message in this process, decided without I/O, clock or chance.

What happens goes in as method calls (a record was delivered, shards were assigned or revoked, the
session log was read, an answer started or ended, a write was acknowledged, time passes); what is to
be done comes out of `take()`.

* A *lane* holds one session's messages in the order of the log; the first without a terminal runs.
* What is true of a message comes from the shard's fold, never from what this process believes to
  have written: a terminal ends a message when it is read back, and only then is it acknowledged.
* After each change the session's messages are judged anew (`workers.verdict`).
* A revoke drops every message: what is unacknowledged comes again. Answers that have sent their
  start go on, and the message that comes again finds its answer running.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from schemas.events import (
    Cancel,
    Error,
    SessionEvent,
    Status,
    StopReason,
    UndecodableEvent,
    UserMessage,
    decode_session_event,
)
from schemas.limits import ASSIGNMENT_FOLD_MARGIN_S, SILENCE_S
from schemas.shard_log import Record
from schemas.transcript import Fence, Message
from schemas.transcript import Outcome as Effect
from workers.actions import (
    Abandon,
    Ack,
    Action,
    AskEnd,
    DeadLetter,
    Delivery,
    Fold,
    Forgo,
    LookUp,
    MessageKey,
    Outcome,
    Queued,
    ReadOn,
    Said,
    Start,
    Stop,
    StopReading,
    Store,
    Unfollow,
    Write,
)
from workers.rebuild import AtHand
from workers.shard_fold import ShardFold
from workers.verdict import Decision, Do, Facts, Silence, decide
from workers.window import Window

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
ALONE_PATIENCE_S = 10.0
"""How long a message that must run alone lets others start before it."""
FORGET_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What this process takes on at most."""

    max_running: int = 200
    read_ahead_messages: int = 10_000
    read_ahead_bytes: int = 64 * 1024 * 1024
    waiting_for_history: int = 5_000


@dataclass(slots=True)
class _Work:
    """One delivered message of this process's shards, with all its records."""

    token: int
    shard: int
    generation: int
    message: UserMessage
    offsets: list[int]
    accepted_ms: int
    traceparent: bytes | None
    asked_before: int  # how often the log's end had been asked for when it was delivered
    starts_sent: int = 0
    stop: StopReason | None = None
    writing: bool = False
    read_past: int | None = None  # a write is acknowledged at this offset, and not read back yet
    said_queued: bool = False
    looking_up: bool = False
    looked_up: bool = False
    sure: bool = True
    dead_lettering: bool = False
    dead_lettered: bool = False
    not_before: float = 0.0
    tries: int = 0
    ready_since: float = 0.0
    alone: bool = False
    storing: bool = False

    @property
    def key(self) -> MessageKey:
        return MessageKey(self.message.session_id, self.message.message_id)


@dataclass(slots=True)
class _Mine:
    """An answer of this process: from the sending of its start until its end is read back."""

    shard: int
    key: MessageKey
    attempt: str
    fence: Fence
    alone: bool
    starting: bool = True
    stopping: bool = False
    done: bool = False
    read_past: int | None = None
    released: bool = False


@dataclass(slots=True)
class _Shard:
    number: int
    window: Window
    owned: bool = False
    folding: bool = False  # asked to be followed, not followed yet
    folded: bool = False
    fold: ShardFold | None = None
    lanes: dict[str, dict[str, _Work]] = field(default_factory=dict)
    storing: dict[int, _Work] = field(default_factory=dict)
    unread: dict[MessageKey, None] = field(default_factory=dict)  # of them something comes back
    floor_ms: int = 0
    settled_floor_ms: int = 0


class Intake:
    """All messages of this process. Every method may give rise to actions; `take` gives them."""

    def __init__(self, *, epoch: int, bounds: Bounds, new_id: Callable[[], str]) -> None:
        self._epoch = epoch
        self._bounds = bounds
        self._new_id = new_id
        self._tokens = count(1)
        self._shards: dict[int, _Shard] = {}
        self._works: dict[int, _Work] = {}
        self._mine: dict[MessageKey, _Mine] = {}
        self._ready: dict[int, _Work] = {}
        self._unplaced: dict[int, _Work] = {}  # ready since the last look for room
        self._watched: dict[int, _Work] = {}
        self._dead: dict[tuple[int, int], int | None] = {}  # whose dead letter it is
        self._actions: list[Action] = []
        self._holding = False
        self._stopping = False
        self._forget_at = 0.0

    def take(self) -> list[Action]:
        """Give what is to be done since the last call, in order."""
        actions, self._actions = self._actions, []
        return actions

    # -- facts for the shell and its metrics

    @property
    def running(self) -> int:
        """Answers of this process that have not ended."""
        return sum(not mine.done for mine in self._mine.values())

    @property
    def starting(self) -> int:
        """Starts that the broker has neither acknowledged nor refused."""
        return sum(mine.starting and not mine.done for mine in self._mine.values())

    @property
    def unfinished(self) -> int:
        """Records delivered and not acknowledged."""
        return sum(len(shard.window) for shard in self._shards.values())

    @property
    def waiting_for_history(self) -> int:
        """Messages that have ended and wait for their turns to be stored."""
        return sum(len(shard.storing) for shard in self._shards.values())

    @property
    def owned(self) -> list[int]:
        """Shards that are assigned to this process."""
        return [shard.number for shard in self._shards.values() if shard.owned]

    @property
    def folded(self) -> bool:
        """Whether no owned shard waits for its fold."""
        return not any(shard.folding for shard in self._shards.values() if shard.owned)

    def at_hand(self, number: int, session_id: str) -> AtHand | None:
        """What was read back of a session; None if its shard isn't followed."""
        shard = self._shards.get(number)
        return shard.fold.at_hand(session_id) if shard and shard.fold else None

    # -- group membership

    def revoking(self) -> None:
        """Every shard is taken away, perhaps to be given back.

        Nothing new starts until `assigned`; the member must not rejoin while `starting` is not 0: a
        start that lands later would be an attempt that nobody runs.
        """
        self._holding = True
        for shard in self._shards.values():
            self._drop(shard)

    def assigned(self, shards: Iterable[int], now: float) -> None:
        """Exactly these shards belong to this process now."""
        self._holding = False
        wanted = set(shards)
        for number in wanted - self._shards.keys():
            self._shards[number] = _Shard(number, self._window())
        for shard in list(self._shards.values()):
            self._drop(shard)
            shard.owned = shard.number in wanted
            shard.folded = False
            if shard.fold is not None:
                shard.fold.look_anew()
            self._leave_if_idle(shard)
        self._fill(now)

    def stopping(self) -> None:
        """Nothing starts any more."""
        self._stopping = True

    def _drop(self, shard: _Shard) -> None:
        for lane in shard.lanes.values():
            for work in lane.values():
                self._forget_work(work)
        shard.lanes.clear()
        shard.storing.clear()
        shard.window.clear()
        for place in [place for place in self._dead if place[0] == shard.number]:
            del self._dead[place]
        shard.owned = False

    def _leave_if_idle(self, shard: _Shard) -> None:
        if shard.owned or self._shards.get(shard.number) is not shard:
            return
        if any(mine.shard == shard.number for mine in self._mine.values()):
            return
        if self._shards.get(shard.number) is not shard:
            return  # of several answers that ended in one read, the first has left it already
        del self._shards[shard.number]
        if shard.fold is not None or shard.folding:
            self._actions.append(Unfollow(shard.number))

    def _window(self) -> Window:
        return Window(
            max_records=self._bounds.read_ahead_messages, max_bytes=self._bounds.read_ahead_bytes
        )

    # -- user_messages

    def delivered(self, delivery: Delivery, now: float) -> None:
        """A record came. Raises OffsetSkipped if one before it did not."""
        shard = self._shards.get(delivery.shard)
        if shard is None or not shard.owned:
            return  # a rebalance came between: it comes again, here or elsewhere
        shard.window.add(delivery.offset, delivery.timestamp_ms, delivery.size_bytes)
        if shard.window.full and not shard.window.stopped:
            shard.window.stopped = True
            self._actions.append(StopReading(shard.number))
        event = delivery.event
        if delivery.refused is not None:
            self._dead[shard.number, delivery.offset] = None
            self._actions.append(DeadLetter(shard.number, delivery.offset, delivery.refused, 1))
        elif isinstance(event, UserMessage):
            self._take_message(shard, delivery, event, now)
        else:
            if isinstance(event, Cancel):
                self._take_cancel(shard, event, now)
            # It comes again as long as its message, which is before it, is not acknowledged.
            self._done(shard, delivery.offset)
        if shard.fold is None and not shard.folding:
            shard.folding = True
            margin_ms = int(ASSIGNMENT_FOLD_MARGIN_S * 1000)
            self._actions.append(Fold(shard.number, delivery.timestamp_ms - margin_ms))
        elif shard.fold is not None and not shard.folded:
            self._ask_end(shard, now)

    def _take_message(
        self, shard: _Shard, delivery: Delivery, message: UserMessage, now: float
    ) -> None:
        lane = shard.lanes.setdefault(message.session_id, {})
        work = lane.get(message.message_id)
        if work is not None:
            work.offsets.append(delivery.offset)
            return
        work = lane[message.message_id] = _Work(
            token=next(self._tokens),
            shard=shard.number,
            generation=delivery.generation,
            message=message,
            offsets=[delivery.offset],
            accepted_ms=delivery.timestamp_ms,
            traceparent=delivery.traceparent,
            asked_before=shard.fold.asked if shard.fold else 0,
        )
        self._works[work.token] = work
        self._advance(shard, message.session_id, now)
        self._fill(now)

    def _take_cancel(self, shard: _Shard, cancel: Cancel, now: float) -> None:
        work = shard.lanes.get(cancel.session_id, {}).get(cancel.message_id)
        if work is None:
            return  # over already, else it would have been delivered before
        work.stop = "cancel"
        self._advance(shard, cancel.session_id, now)
        self._fill(now)

    # -- the session log

    def following(self, number: int, position: int, now: float) -> None:
        """The shard is read from `position` on, from now."""
        shard = self._shards.get(number)
        if shard is None:
            self._actions.append(Unfollow(number))
            return
        shard.folding = shard.folded = False
        shard.fold = ShardFold(position, self._epoch)
        self._ask_end(shard, now)

    def end_known(self, number: int, asked: float, end: int, now: float) -> None:
        """The answer to AskEnd."""
        shard = self._shards.get(number)
        if shard is None or shard.fold is None:
            return
        shard.fold.end_known(asked, end)
        self._read_back(shard, now)
        self._fill(now)

    def records(self, number: int, records: Sequence[Record], now: float) -> int:
        """Records of the shard's session log were read; gives how many could not be understood."""
        shard = self._shards.get(number)
        if shard is None or shard.fold is None:
            return 0
        bad = 0
        for record in records:
            shard.fold.position = record.offset + 1
            try:
                event = decode_session_event(record.value)
            except UndecodableEvent:
                bad += 1
                continue
            if event is None:
                continue
            effect = shard.fold.apply(event, record.offset, record.timestamp_ms, now)
            self._outranked(event, effect)
            if effect.counts and self._matters(shard, event, effect):
                self._advance(shard, event.session_id, now)
        self._read_back(shard, now)
        self._fill(now)
        return bad

    def _matters(self, shard: _Shard, event: SessionEvent, effect: Effect) -> bool:
        lane = shard.lanes.get(event.session_id)
        if lane is None:
            return False
        if effect not in (Effect.CHUNK, Effect.ALIVE):
            return True
        # By far the most. It matters only if its silence made us ready to start another attempt.
        work = lane.get(event.message_id)
        return work is not None and work.token in self._ready

    def _outranked(self, event: SessionEvent, effect: Effect) -> None:
        if effect in (Effect.CHUNK, Effect.ALIVE):
            return
        mine = self._mine.get(MessageKey(event.session_id, event.message_id))
        if mine is None or mine.done:
            return
        if isinstance(event, Status) and event.state == "cancelling":
            if event.attempt == mine.attempt and event.reason is not None:
                self._stop(mine, event.reason)
            return
        own = event.attempt == mine.attempt
        lost = effect is Effect.ENDED and not own
        if isinstance(event, Status) and event.state == "generating":
            # A start of another that is lower than ours, which is still to come, changes nothing.
            higher = event.fence is not None and event.fence > mine.fence
            lost = not effect.counts if own else effect is Effect.STARTED and higher
        if lost:
            mine.stopping = True
            self._actions.append(Abandon(mine.key))

    def _read_back(self, shard: _Shard, now: float) -> None:
        fold = shard.fold
        if fold is None:
            return
        if fold.reached():
            if shard.owned:
                shard.folded = True
            for session_id in list(shard.lanes):
                self._advance(shard, session_id, now)
        for key in list(shard.unread):
            self._settle(shard, key, now)

    def _settle(self, shard: _Shard, key: MessageKey, now: float) -> None:
        """Go on with a message whose answer has ended or whose write was acknowledged."""
        position = shard.fold.position if shard.fold else 0
        mine = self._mine.get(key)
        work = shard.lanes.get(key.session_id, {}).get(key.message_id)
        if mine is not None and mine.done and _passed(mine.read_past, position):
            del self._mine[key]
            if work is not None and mine.released:
                self._rest(work, now)
        if work is not None and work.read_past is not None and _passed(work.read_past, position):
            work.writing, work.read_past = False, None
        waits = (mine is not None and key in self._mine and mine.done) or (
            work is not None and work.read_past is not None
        )
        if waits:
            return
        shard.unread.pop(key, None)
        self._advance(shard, key.session_id, now)
        self._leave_if_idle(shard)

    # -- answers of this process

    def started(self, key: MessageKey, attempt: str) -> None:
        """The broker has acknowledged the start."""
        mine = self._mine.get(key)
        if mine is not None and mine.attempt == attempt:
            mine.starting = False

    def answered(
        self, key: MessageKey, attempt: str, outcome: Outcome, offset: int | None, now: float
    ) -> None:
        """The answer task has ended; `offset` is that of the last record it wrote."""
        mine = self._mine.get(key)
        if mine is None or mine.attempt != attempt:
            return
        mine.done, mine.starting = True, False
        mine.released = outcome is Outcome.RELEASED
        mine.read_past = offset
        shard = self._shards[mine.shard]
        shard.unread[key] = None
        self._settle(shard, key, now)
        self._fill(now)

    # -- outcomes of other actions

    def written(self, token: int, said: Said, offset: int | None, now: float) -> None:
        """A Write was acknowledged at `offset`, or failed (None): its outcome is unknown."""
        work = self._works.get(token)
        if work is None:
            return
        shard = self._shards[work.shard]
        if isinstance(said, Queued):
            work.said_queued = offset is not None
            self._watched[work.token] = work
        elif offset is None:
            work.writing = False
            self._rest(work, now)
            self._advance(shard, work.message.session_id, now)
        else:
            work.read_past = offset
            shard.unread[work.key] = None
            self._settle(shard, work.key, now)
        self._fill(now)

    def looked_up(self, token: int, *, over: bool, sure: bool, now: float) -> None:
        """History and `answers` were asked; `sure` if they cover all that the fold does not."""
        work = self._works.get(token)
        if work is None:
            return
        shard = self._shards[work.shard]
        work.looked_up, work.sure = True, sure
        if over:
            self._finish(shard, work)
        self._advance(shard, work.message.session_id, now)
        self._fill(now)

    def stored(self, token: int, now: float) -> None:
        """The turns are in the history (or the history is forgotten)."""
        work = self._works.get(token)
        if work is None:
            return
        shard = self._shards[work.shard]
        if shard.fold is not None:
            shard.fold.set_stored(work.key)
        self._finish(shard, work)
        self._fill(now)

    def dead_lettered(self, number: int, offset: int, now: float) -> None:
        """The record is with the dead letters."""
        if (number, offset) not in self._dead:
            return
        token = self._dead.pop((number, offset))
        shard = self._shards[number]
        if token is None:
            self._done(shard, offset)
        elif token in self._works:
            work = self._works[token]
            work.dead_lettering, work.dead_lettered = False, True
            self._advance(shard, work.message.session_id, now)

    def tick(self, now: float) -> None:
        """Time has passed."""
        watched, self._watched = self._watched, {}
        for work in watched.values():
            if work.token in self._works:
                self._advance(self._shards[work.shard], work.message.session_id, now)
        self._fill(now)
        if now >= self._forget_at:
            self._forget_at = now + FORGET_EVERY_S
            self._forget_old()

    def _forget_old(self) -> None:
        for shard in self._shards.values():
            if shard.fold is None:
                continue
            lanes = shard.lanes.items()
            needed = {MessageKey(s, m) for s, lane in lanes for m in lane} | self._mine.keys()
            shard.fold.forget_before(shard.settled_floor_ms, needed)
            # One round late: what was acknowledged a moment ago may not be committed.
            shard.settled_floor_ms = shard.floor_ms

    # -- one session

    def _advance(self, shard: _Shard, session_id: str, now: float) -> None:
        """Judge every message of a session anew, in order."""
        lane = shard.lanes.get(session_id)
        if not lane or not shard.folded or shard.fold is None:
            return
        self._interrupt(shard.fold, lane)
        ahead = 0
        for work in list(lane.values()):
            view = shard.fold.view(work.key)
            if view is not None and view.terminal:
                self._end(shard, work, view)
                continue
            self._judge(shard, shard.fold, work, view, ahead, now)
            ahead += 1

    def _interrupt(self, fold: ShardFold, lane: dict[str, _Work]) -> None:
        """Stop what stands before an interrupting message, also when that has ended itself.

        It is done at every delivery: the process that took the message first may have died before
        it had ended those before it.
        """
        before: list[_Work] = []
        for work in lane.values():
            if work.message.on_busy == "interrupt" and before:
                view = fold.view(work.key)
                error = view.error if view else None
                busy = isinstance(error, Error) and error.code == "busy"
                if not busy and _stands_in_its_place(work, view):
                    for other in before:
                        other.stop = other.stop or "interrupt"
                    before = []
            before.append(work)

    def _judge(
        self,
        shard: _Shard,
        fold: ShardFold,
        work: _Work,
        view: Message | None,
        ahead: int,
        now: float,
    ) -> None:
        if work.writing or work.dead_lettering:
            self._not_ready(work)
            return
        key = work.key
        mine = self._mine.get(key)
        decision = decide(
            Facts(
                view=view,
                runs_here=mine is not None,
                silence=self._silence(fold, key, view, now),
                stop=work.stop or (view.cancelling if view else None),  # type: ignore[arg-type]
                ahead=ahead,
                on_busy=work.message.on_busy,
                read_since_delivery=fold.answered > work.asked_before,
                looked_up=work.looked_up,
                dead_lettered=work.dead_lettered,
                resting=now < work.not_before,
            )
        )
        self._carry_out(shard, work, decision, view, ahead, now)

    def _silence(
        self, fold: ShardFold, key: MessageKey, view: Message | None, now: float
    ) -> Silence:
        if view is None or view.state != "generating":
            return Silence.HEARD
        due = fold.heard_at(key) + SILENCE_S
        if now < due:
            return Silence.HEARD
        return Silence.SILENT if fold.read_to >= due else Silence.UNSURE

    def _carry_out(
        self,
        shard: _Shard,
        work: _Work,
        decision: Decision,
        view: Message | None,
        ahead: int,
        now: float,
    ) -> None:
        if decision not in (Do.RUN, Do.RUN_ALONE):
            self._not_ready(work)
        match decision:
            case Do.WAIT:
                pass
            case Do.WATCH:
                self._watched[work.token] = work
            case Do.READ_TO_END:
                self._watched[work.token] = work
                self._ask_end(shard, now)
            case Do.LOOK_UP:
                if not work.looking_up:
                    work.looking_up = True
                    self._actions.append(LookUp(work.token, shard.number, work.key))
            case Do.SAY_QUEUED:
                self._say_queued(work, ahead)
            case Do.STOP:
                mine = self._mine[work.key]
                reason = work.stop or (view.cancelling if view else None)
                self._stop(mine, "interrupt" if reason == "interrupt" else "cancel")
            case Do.DEAD_LETTER:
                starts = view.unended_starts if view else 0
                work.dead_lettering = True
                self._dead[shard.number, work.offsets[0]] = work.token
                reason = "retries_exhausted"
                self._actions.append(DeadLetter(shard.number, work.offsets[0], reason, starts))
            case Do.RUN | Do.RUN_ALONE:
                work.alone = decision is Do.RUN_ALONE
                if work.token not in self._ready:
                    work.ready_since = now
                    self._ready[work.token] = self._unplaced[work.token] = work
            case _:
                if now < work.not_before:
                    self._watched[work.token] = work
                else:
                    self._write(work, decision)

    def _write(self, work: _Work, said: Said) -> None:
        work.writing = True
        self._actions.append(Write(work.token, work.shard, work.message, said, work.traceparent))

    def _say_queued(self, work: _Work, position: int) -> None:
        # Nothing waits for it: late or lost, it changes nothing but what people see.
        if not work.said_queued:
            work.said_queued = True
            self._actions.append(
                Write(work.token, work.shard, work.message, Queued(position), work.traceparent)
            )

    def _stop(self, mine: _Mine, reason: StopReason) -> None:
        if not mine.stopping and not mine.done:
            mine.stopping = True
            self._actions.append(Stop(mine.key, reason))

    def _rest(self, work: _Work, now: float) -> None:
        work.not_before = now + min(BACKOFF_FIRST_S * 2.0**work.tries, BACKOFF_MAX_S)
        work.tries += 1
        self._watched[work.token] = work

    def _not_ready(self, work: _Work) -> None:
        self._ready.pop(work.token, None)
        self._unplaced.pop(work.token, None)

    def _ask_end(self, shard: _Shard, now: float) -> None:
        if shard.fold is not None and shard.fold.ask_end(now):
            self._actions.append(AskEnd(shard.number, now))

    # -- starts

    def _fill(self, now: float) -> None:
        """Start what is ready, in the order in which it came, as far as there is room."""
        if not self._ready or self._holding or self._stopping:
            return
        running = [mine for mine in self._mine.values() if not mine.done]
        if len(running) < self._bounds.max_running and not any(mine.alone for mine in running):
            for work in list(self._next(len(running), now)):
                self._start(work)
        unplaced, self._unplaced = self._unplaced, {}
        for work in unplaced.values():
            if work.token in self._ready:
                self._wait_for_room(work)

    def _next(self, running: int, now: float) -> Iterator[_Work]:
        """Give what starts now. What must run alone waits for all others, but not for ever."""
        alone = [work for work in self._ready.values() if work.alone]
        if alone and (not running or now - alone[0].ready_since >= ALONE_PATIENCE_S):
            if not running:
                yield alone[0]
            return
        for work in self._ready.values():
            if running >= self._bounds.max_running:
                return
            if not work.alone:
                running += 1
                yield work

    def _wait_for_room(self, work: _Work) -> None:
        shard = self._shards[work.shard]
        if shard.fold is not None and shard.fold.view(work.key) is None:
            self._say_queued(work, 0)
        if work.alone:
            self._watched[work.token] = work

    def _start(self, work: _Work) -> None:
        self._not_ready(work)
        fence = (self._epoch, work.generation, work.starts_sent)
        work.starts_sent += 1
        mine = _Mine(work.shard, work.key, self._new_id(), fence, work.alone)
        self._mine[work.key] = mine
        accepted_ms, traceparent = work.accepted_ms, work.traceparent
        self._actions.append(
            Start(work.shard, work.message, mine.attempt, fence, accepted_ms, traceparent)
        )

    # -- ends

    def _end(self, shard: _Shard, work: _Work, view: Message) -> None:
        """The message has a terminal in the log."""
        self._not_ready(work)
        if work.storing:
            return
        fold = shard.fold
        text = view.text
        if not text or view.last is None or (fold is not None and fold.stored(work.key)):
            self._finish(shard, work)
            return
        work.storing = True
        shard.storing[work.token] = work
        prompt = work.message.content
        self._actions.append(
            Store(work.token, shard.number, work.key, prompt, text, view.last.offset, work.sure)
        )
        while len(shard.storing) > self._bounds.waiting_for_history:
            oldest = next(iter(shard.storing.values()))
            self._actions.append(Forgo(oldest.key))
            self._finish(shard, oldest)

    def _finish(self, shard: _Shard, work: _Work) -> None:
        self._forget_work(work)
        shard.storing.pop(work.token, None)
        lane = shard.lanes.get(work.message.session_id, {})
        lane.pop(work.message.message_id, None)
        if not lane:
            shard.lanes.pop(work.message.session_id, None)
        for offset in work.offsets:
            self._done(shard, offset)

    def _forget_work(self, work: _Work) -> None:
        self._works.pop(work.token, None)
        self._watched.pop(work.token, None)
        self._not_ready(work)

    def _done(self, shard: _Shard, offset: int) -> None:
        margin_ms = int(ASSIGNMENT_FOLD_MARGIN_S * 1000)
        oldest_ms = shard.window.oldest_ms
        for acknowledged in shard.window.done(offset):
            self._actions.append(Ack(shard.number, acknowledged))
        # What is older than this can't come again, except through a duplicate of an old message.
        shard.floor_ms = (shard.window.oldest_ms or oldest_ms or margin_ms) - margin_ms
        if shard.window.stopped and shard.window.roomy:
            shard.window.stopped = False
            self._actions.append(ReadOn(shard.number))


def _stands_in_its_place(work: _Work, view: Message | None) -> bool:
    """Whether the lane holds the message where it was said first.

    A message that is sent again after its first record was acknowledged comes behind messages that
    were said after it, and must not interrupt those. The log repeats the first record's prompt.
    """
    if view is None:
        return work.looked_up
    return view.prompt is not None and view.prompt.created_at == work.message.created_at


def _passed(offset: int | None, position: int) -> bool:
    return offset is None or offset < position
