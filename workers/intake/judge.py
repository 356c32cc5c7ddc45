"""One message: its facts go to `decision`, and what was decided becomes an action. Pure."""

from math import inf
from typing import assert_never

from schemas.limits import SILENCE_S
from schemas.transcript import Message
from workers.intake.ack_window import Remembering
from workers.intake.actions import (
    Action,
    Cancelling,
    DeadLetter,
    EndedEarly,
    Failed,
    Forgo,
    MessageKey,
    NoteEnd,
    Outranked,
    OwnerEvent,
    Queued,
    Store,
    Write,
)
from workers.intake.admission import Admission
from workers.intake.broker_clock import BrokerClock
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
from workers.intake.lanes import Lanes
from workers.intake.look_ups import LookUps
from workers.intake.membership import Membership
from workers.intake.own_attempts import OwnAttempts
from workers.intake.shard_fold import ShardFold
from workers.intake.state import EarlierLife, Shard, Step, Work

JUDGED_AT_ONCE = 500
"""About 5 ms: a shard with a long backlog must not hold the loop when it is folded."""
OUTRANKED_PATIENCE_S = 30.0
"""So long a process may believe that a shard is its own after the group has given it away."""
_WRITING = frozenset({Step.WRITING, Step.AWAITING_READ_BACK, Step.DEAD_LETTERING})


class Judge:
    """Judges what is marked in the lanes. `actions` grows; whoever performs them empties it."""

    def __init__(
        self,
        *,
        membership: Membership,
        attempts: OwnAttempts,
        admission: Admission,
        lanes: Lanes,
        look_ups: LookUps,
        waiting_for_history_max: int,
        clock: BrokerClock,
        actions: list[Action],
    ) -> None:
        self._membership = membership
        self._attempts = attempts
        self._admission = admission
        self._lanes = lanes
        self._look_ups = look_ups
        self._waiting_for_history_max = waiting_for_history_max
        self._clock = clock
        self._actions = actions

    def judge_marked(self, now_s: float) -> None:
        """Judge what is marked, and what becomes the head of its lane thereby.

        Not more than JUDGED_AT_ONCE in one call: the rest stays marked for the next.
        """
        for _ in range(JUDGED_AT_ONCE):
            work = self._lanes.take_marked()
            if work is None:
                return
            self._judge(work, now_s)

    def say_queued(self, work: Work, position: int) -> None:
        """Tell people that it waits. Nothing waits for that: lost, it changes nothing else."""
        if not work.queued_written:
            work.queued_written = True
            self._write(work, Queued(position))

    def _judge(self, work: Work, now_s: float) -> None:
        shard = self._membership.shards[work.shard]
        fold = shard.fold
        if not shard.folded or fold is None:
            return
        if fold.forgets(work.message.session_id, work.offsets[0]):
            self._let_go(work)
            return
        lane = shard.lanes[work.message.session_id]
        self._lanes.interrupt_before(shard, lane, work)
        view = fold.view(work.key)
        if view is not None and view.terminal:
            self._remember(shard, work, view)
        elif work.step in _WRITING:
            self._admission.leave(work)
        else:
            ahead = lane.ahead(work)
            decision = decide(self._facts(fold, work, view, ahead, now_s))
            self._carry_out(shard, work, decision, view, ahead, now_s)

    def _facts(
        self, fold: ShardFold, work: Work, view: Message | None, ahead: int, now_s: float
    ) -> Facts:
        stopped = view.cancelling if view else None
        mute_since_ms = fold.mute_since_ms(work.key)
        work.suspicion.mute_since_ms = mute_since_ms or 0
        return Facts(
            view=view,
            runs_here=work.key in self._attempts,
            silence=_silence(fold, work.key, view, self._clock, now_s),
            stop=work.stop or (known_stop(stopped) if stopped else None),
            ahead=ahead,
            on_busy=known_on_busy(work.message.on_busy),
            read_since_delivery=fold.answered > work.asked_before,
            looked_up=work.earlier_life is not EarlierLife.NOT_ASKED,
            mute_deaths=fold.mute_deaths(work.key),
            dead_lettered=work.dead_lettered,
            resting=work.retry.resting(now_s),
            outranked=view is not None
            and view.fence is not None
            and self._attempts.next_fence(work) < view.fence,
        )

    # -- what a decision leads to

    def _carry_out(
        self,
        shard: Shard,
        work: Work,
        decision: Decision,
        view: Message | None,
        ahead: int,
        now_s: float,
    ) -> None:
        if not isinstance(decision, Run):
            self._admission.leave(work)
        match decision:
            case Do.WAIT:
                pass
            case Do.WATCH:
                self._lanes.watch(work)
            case Do.READ_TO_END:
                self._lanes.watch(work)
                shard.awaiting_end[work.token] = work
                self._membership.ask_end(shard, now_s)
            case Do.LOOK_UP:
                work.step = Step.LOOKING_UP
                self._look_ups.ask(work, head=ahead == 0)
            case Do.SAY_QUEUED:
                self.say_queued(work, ahead)
            case Do.STOP:
                reason = work.stop or (view.cancelling if view else None)
                self._attempts.stop(work.key, known_stop(reason or "cancel"))
            case Do.OUTRANKED:
                self._wait_outranked(work, view, now_s)
            case Do.DEAD_LETTER:
                self._dead_letter(shard, work, view)
            case Run(care):
                self._ask_to_start(work, care, now_s)
            case Queued() | Cancelling() | EndedEarly() | Failed():
                self._write_when_rested(work, decision, now_s)
            case _:
                assert_never(decision)

    def _wait_outranked(self, work: Work, view: Message | None, now_s: float) -> None:
        self._lanes.watch(work)
        if work.outranked_since_s is None:
            work.outranked_since_s = now_s
        if view is None or view.fence is None:
            return
        if now_s - work.outranked_since_s >= OUTRANKED_PATIENCE_S:
            work.outranked_since_s = inf
            fence = self._attempts.next_fence(work)
            self._actions.append(Outranked(work.shard, work.key, fence, view.fence))

    def _ask_to_start(self, work: Work, care: Care, now_s: float) -> None:
        work.suspicion.care = care
        self._admission.ask(work, now_s)
        if care is not Care.FRESH:  # it may wait: the facts may change meanwhile
            self._lanes.watch(work)

    def _write_when_rested(self, work: Work, event: OwnerEvent, now_s: float) -> None:
        if work.retry.resting(now_s):
            self._lanes.watch(work)
        else:
            work.step = Step.WRITING
            self._write(work, event)

    def _write(self, work: Work, event: OwnerEvent) -> None:
        told = work.token, work.shard, work.message
        self._actions.append(Write(*told, event, work.traceparent, work.offsets[0]))

    def _dead_letter(self, shard: Shard, work: Work, view: Message | None) -> None:
        work.step = Step.DEAD_LETTERING
        shard.dead_lettering[work.offsets[0]] = work.token
        starts = view.unended_starts if view else 0
        self._actions.append(DeadLetter(shard.number, work.offsets[0], "retries_exhausted", starts))

    # -- ends

    def _let_go(self, work: Work) -> None:
        """Acknowledge a message that was forgotten, without another word of it in the log."""
        if (user := work.message.user) is not None:
            self._actions.append(NoteEnd(user, work.key, 0))
        self._lanes.finish(work, over_elsewhere=True, remembering=Remembering.NOT_NEEDED)

    def _remember(self, shard: Shard, work: Work, view: Message) -> None:
        """Store the turns of a message whose terminal was read back; then it is acknowledged."""
        self._lanes.close(shard, work)
        if work.step is Step.STORING:
            return
        if (user := work.message.user) is not None:
            self._actions.append(NoteEnd(user, work.key, _tokens(view)))
        stored = shard.fold is not None and shard.fold.stored(work.key)
        if not view.text or view.last is None or stored:
            self._lanes.finish(work, over_elsewhere=False, remembering=Remembering.NOT_NEEDED)
            return
        work.step = Step.STORING
        shard.storing[work.token] = work
        self._actions.append(
            Store(
                work.token,
                shard.number,
                work.key,
                work.message.content,
                view.text,
                view.last.offset,
                sure=work.earlier_life is not EarlierLife.UNSURE,
            )
        )
        while len(shard.storing) > self._waiting_for_history_max:
            oldest = next(iter(shard.storing.values()))
            self._actions.append(Forgo(oldest.key))
            self._lanes.finish(oldest, over_elsewhere=False, remembering=Remembering.GIVEN_UP)


def _tokens(view: Message) -> int:
    usage = view.usage
    return 0 if usage is None else usage.prompt_tokens + usage.completion_tokens


def _silence(
    fold: ShardFold, key: MessageKey, view: Message | None, clock: BrokerClock, now_s: float
) -> Silence:
    """Say whether an attempt is silent: nothing came of it for SILENCE_S, up to a known end.

    The time runs from when its last event came into the log, if the broker's clock is known: who
    takes over a shard after another has died has been waited for by the group already. Else it runs
    from when that event was read.
    """
    if view is None or view.state != "generating":
        return Silence.HEARD
    logged_s = clock.own_time_s(fold.heard_at_ms(key))
    due_s = min(fold.heard_at(key), inf if logged_s is None else logged_s) + SILENCE_S
    if now_s < due_s:
        return Silence.HEARD
    return Silence.SILENT if fold.read_to >= due_s else Silence.UNSURE
