"""The lanes: each session's messages in the order of the log, and what is decided about them.

A lane is judged anew, from its first message to its last, whenever something of it has changed:
what the fold says and what this process has under way are the facts, `intake.decision` decides, and
here the decision becomes an action. The first message without a terminal may run, the others wait.
"""

from collections.abc import Callable

from schemas.events import Error, StopReason
from schemas.limits import ASSIGNMENT_FOLD_MARGIN_S, SILENCE_S
from schemas.transcript import Message
from workers.intake.actions import (
    Ack,
    Action,
    AskEnd,
    DeadLetter,
    Forgo,
    LookUp,
    MessageKey,
    Queued,
    ReadOn,
    Said,
    Start,
    Stop,
    Store,
    Write,
)
from workers.intake.admission import Room, Running
from workers.intake.decision import (
    Care,
    Decision,
    Do,
    Facts,
    Run,
    Silence,
    decide,
    known_on_busy,
    known_stop,
)
from workers.intake.shard_fold import ShardFold
from workers.intake.state import Bounds, Mine, Shard, Work

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0


class Lanes:
    """All messages and answers of this process. `actions` grows; whoever performs them takes it."""

    def __init__(self, *, epoch: int, bounds: Bounds, new_id: Callable[[], str]) -> None:
        self.shards: dict[int, Shard] = {}
        self.works: dict[int, Work] = {}
        self.mine: dict[MessageKey, Mine] = {}
        self.watched: dict[int, Work] = {}  # to be judged again as time passes
        self.dead: dict[tuple[int, int], int | None] = {}  # whose dead letter is being written
        self.actions: list[Action] = []
        self.holding = False  # nothing starts: the shards are being taken away, or for good
        self._epoch = epoch
        self._bounds = bounds
        self._new_id = new_id
        self._room = Room(bounds.max_running)

    # -- judging

    def advance(self, shard: Shard, session_id: str, now: float) -> None:
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

    def _interrupt(self, fold: ShardFold, lane: dict[str, Work]) -> None:
        """Stop what stands before an interrupting message, also when that has ended itself.

        It is done at every delivery: the process that took the message first may have died before
        it had ended those before it.
        """
        before: list[Work] = []
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
        shard: Shard,
        fold: ShardFold,
        work: Work,
        view: Message | None,
        ahead: int,
        now: float,
    ) -> None:
        if work.writing or work.dead_lettering:
            self._room.leave(work)
            return
        key = work.key
        mine = self.mine.get(key)
        stopped = view.cancelling if view else None
        mute_since_ms = fold.mute_since_ms(key)
        work.mute_since_ms = mute_since_ms or 0
        decision = decide(
            Facts(
                view=view,
                runs_here=mine is not None,
                silence=self._silence(fold, key, view, now),
                stop=work.stop or (known_stop(stopped) if stopped else None),
                ahead=ahead,
                on_busy=known_on_busy(work.message.on_busy),
                read_since_delivery=fold.answered > work.asked_before,
                looked_up=work.looked_up,
                mute=mute_since_ms is not None,
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
        shard: Shard,
        work: Work,
        decision: Decision,
        view: Message | None,
        ahead: int,
        now: float,
    ) -> None:
        if not isinstance(decision, Run):
            self._room.leave(work)
        match decision:
            case Do.WAIT:
                pass
            case Do.WATCH | Do.READ_TO_END:
                self.watched[work.token] = work
                if work.mute_since_ms:
                    self._room.expect(work)
                if decision is Do.READ_TO_END:
                    self.ask_end(shard, now)
            case Do.LOOK_UP:
                if not work.looking_up:
                    work.looking_up = True
                    self.actions.append(LookUp(work.token, shard.number, work.key))
            case Do.SAY_QUEUED:
                self._say_queued(work, ahead)
            case Do.STOP:
                mine = self.mine[work.key]
                reason = work.stop or (view.cancelling if view else None)
                self.stop(mine, known_stop(reason or "cancel"))
            case Do.DEAD_LETTER:
                starts = view.unended_starts if view else 0
                work.dead_lettering = True
                self.dead[shard.number, work.offsets[0]] = work.token
                reason = "retries_exhausted"
                self.actions.append(DeadLetter(shard.number, work.offsets[0], reason, starts))
            case Run(care):
                work.care = care
                work.told_of = view is not None
                self._room.ask(work, now)
                if care is not Care.FRESH:  # it may wait: the facts may change meanwhile
                    self.watched[work.token] = work
            case _:
                if now < work.not_before:
                    self.watched[work.token] = work
                else:
                    self._write(work, decision)

    # -- what a decision leads to

    def _write(self, work: Work, said: Said) -> None:
        work.writing = True
        self.actions.append(Write(work.token, work.shard, work.message, said, work.traceparent))

    def _say_queued(self, work: Work, position: int) -> None:
        # Nothing waits for it: late or lost, it changes nothing but what people see.
        if not work.said_queued:
            work.said_queued = True
            self.actions.append(
                Write(work.token, work.shard, work.message, Queued(position), work.traceparent)
            )

    def stop(self, mine: Mine, reason: StopReason) -> None:
        """End an answer of this process, once."""
        if not mine.stopping and not mine.done:
            mine.stopping = True
            self.actions.append(Stop(mine.key, reason))

    def rest(self, work: Work, now: float) -> None:
        """Something failed: wait a little longer each time before the next try."""
        work.not_before = now + min(BACKOFF_FIRST_S * 2.0**work.tries, BACKOFF_MAX_S)
        work.tries += 1
        self.watched[work.token] = work

    def ask_end(self, shard: Shard, now: float) -> None:
        """Have the shard read to the end that it has now, unless that is under way."""
        if shard.fold is not None and shard.fold.ask_end(now):
            self.actions.append(AskEnd(shard.number, now))

    # -- starts

    def fill(self, now: float) -> None:
        """Start what is ready, as far as there is room."""
        if not self._room or self.holding:
            return
        running = [
            Running(mine.care, now - mine.since, self._is_mute(mine))
            for mine in self.mine.values()
            if not mine.done
        ]
        folding = any(s.owned and len(s.window) and not s.folded for s in self.shards.values())
        for work in self._room.next(running, now, folding=folding):
            self._start(work, now)
        for work in self._room.take_waiting():
            if not work.told_of:
                self._say_queued(work, 0)

    def _is_mute(self, mine: Mine) -> bool:
        # Only asked of suspects: their start before this one was mute too, so no gap lies between.
        fold = self.shards[mine.shard].fold if mine.care is Care.MUTE else None
        return fold is not None and fold.mute_since_ms(mine.key) is not None

    def is_ready(self, work: Work) -> bool:
        """Whether it would start if there were room."""
        return work in self._room

    def _start(self, work: Work, now: float) -> None:
        self._room.leave(work)
        fence = (self._epoch, work.generation, work.starts_sent)
        work.starts_sent += 1
        mine = Mine(work.shard, work.key, self._new_id(), fence, work.care, now)
        self.mine[work.key] = mine
        accepted_ms, traceparent = work.accepted_ms, work.traceparent
        self.actions.append(
            Start(work.shard, work.message, mine.attempt, fence, accepted_ms, traceparent)
        )

    # -- ends

    def _end(self, shard: Shard, work: Work, view: Message) -> None:
        """The message has a terminal in the log."""
        self._room.leave(work)
        if work.storing:
            return
        fold = shard.fold
        text = view.text
        if not text or view.last is None or (fold is not None and fold.stored(work.key)):
            self.finish(shard, work)
            return
        work.storing = True
        shard.storing[work.token] = work
        prompt = work.message.content
        self.actions.append(
            Store(work.token, shard.number, work.key, prompt, text, view.last.offset, work.sure)
        )
        while len(shard.storing) > self._bounds.waiting_for_history:
            oldest = next(iter(shard.storing.values()))
            self.actions.append(Forgo(oldest.key))
            self.finish(shard, oldest)

    def finish(self, shard: Shard, work: Work) -> None:
        """The message is over and remembered: all its records are done."""
        self.forget(work)
        shard.storing.pop(work.token, None)
        lane = shard.lanes.get(work.message.session_id, {})
        lane.pop(work.message.message_id, None)
        if not lane:
            shard.lanes.pop(work.message.session_id, None)
        for offset in work.offsets:
            self.done(shard, offset)

    def forget(self, work: Work) -> None:
        """It is none of this process's any more."""
        self.works.pop(work.token, None)
        self.watched.pop(work.token, None)
        self._room.leave(work)

    def done(self, shard: Shard, offset: int) -> None:
        """Acknowledge what can be, now that this record is done."""
        margin_ms = int(ASSIGNMENT_FOLD_MARGIN_S * 1000)
        oldest_ms = shard.window.oldest_ms
        for acknowledged in shard.window.done(offset):
            self.actions.append(Ack(shard.number, acknowledged))
        # What is older than this can't come again, except through a duplicate of an old message.
        shard.floor_ms = (shard.window.oldest_ms or oldest_ms or margin_ms) - margin_ms
        if shard.window.stopped and shard.window.roomy:
            shard.window.stopped = False
            self.actions.append(ReadOn(shard.number))


def _stands_in_its_place(work: Work, view: Message | None) -> bool:
    """Whether the lane holds the message where it was said first.

    A message that is sent again after its first record was acknowledged comes behind messages that
    were said after it, and must not interrupt those. The log repeats the first record's prompt.
    """
    if view is None:
        return work.looked_up
    return view.prompt is not None and view.prompt.created_at == work.message.created_at
