"""The life of every delivered message in this process, decided without I/O, clock or chance.

What happens goes in as method calls (a record was delivered, shards were assigned or revoked, the
session log was read, an attempt started or ended, a write was acknowledged, time passes); what is
to be done comes out of `take`. Each part owns its state, and this class only tells them in turn:

* `membership`: which shards are ours, how far each is delivered, folded and acknowledged.
* `own_attempts`: the attempts of this process.
* `lanes`: each session's messages, and which of them have changed.
* `read_back`: what waits until the fold has passed a record.
* `judge`: each message that has changed is judged anew (`decision`), and that becomes an action.
* `admission`: which of those that could start do start.

What is true of a message comes from the shard's fold, never from what this process believes to have
written.
"""

from collections.abc import Callable, Iterable, Sequence

from schemas.events import Cancel, UserMessage
from schemas.shard_log import Record
from workers.intake.ack_window import Gap, Remembering
from workers.intake.actions import (
    Action,
    AttemptEnd,
    DeadLetter,
    Delivery,
    MessageKey,
    OwnerEvent,
    Queued,
)
from workers.intake.admission import Admission
from workers.intake.broker_clock import BrokerClock
from workers.intake.continuing import continued_by_next
from workers.intake.judge import Judge
from workers.intake.lanes import Lanes
from workers.intake.look_ups import LookUps
from workers.intake.membership import Membership
from workers.intake.own_attempts import OwnAttempts
from workers.intake.read_back import ReadBack
from workers.intake.shard_fold import AtHand
from workers.intake.state import Bounds, EarlierLife, Step

FORGET_EVERY_S = 10.0


class Intake:
    """All messages of this process. Every method may give rise to actions; `take` gives them."""

    def __init__(
        self,
        *,
        epoch: int,
        bounds: Bounds,
        new_id: Callable[[], str],
        may_continue: Callable[[], bool] = lambda: True,
        clock: BrokerClock | None = None,
    ) -> None:
        self._actions: list[Action] = []
        self.membership = Membership(epoch=epoch, bounds=bounds, actions=self._actions)
        self.clock = clock or BrokerClock()
        self._attempts = OwnAttempts(epoch=epoch, new_id=new_id, actions=self._actions)
        self.admission = Admission(bounds.max_running)
        self._look_ups = LookUps(self._actions)
        self._lanes = Lanes(self.membership, self.admission, self._look_ups)
        self._read_back = ReadBack(self.membership, self._attempts, self._lanes, self.clock)
        self._judge = Judge(
            membership=self.membership,
            attempts=self._attempts,
            admission=self.admission,
            lanes=self._lanes,
            look_ups=self._look_ups,
            waiting_for_history_max=bounds.waiting_for_history,
            clock=self.clock,
            actions=self._actions,
        )
        self._shards = self.membership.shards
        self._may_continue = may_continue
        self._forget_at_s = 0.0

    def take(self) -> list[Action]:
        """Give what is to be done since the last call, in order."""
        actions = self._actions.copy()
        self._actions.clear()
        return actions

    # -- facts for the shell and its metrics

    @property
    def running(self) -> int:
        """Attempts of this process that have not ended."""
        return self._attempts.running

    @property
    def starting(self) -> int:
        """Starts that the broker has neither acknowledged nor refused."""
        return self._attempts.starting

    @property
    def owned(self) -> list[int]:
        """Shards that are assigned to this process."""
        return [shard.number for shard in self.membership.owned()]

    @property
    def folded(self) -> bool:
        """Whether no owned shard waits to be followed."""
        return not any(shard.follow_asked for shard in self.membership.owned())

    def at_hand(self, number: int, session_id: str) -> AtHand | None:
        """What was read back of a session; None if its shard isn't followed."""
        shard = self._shards.get(number)
        return shard.fold.at_hand(session_id) if shard and shard.fold else None

    @property
    def unjudged(self) -> bool:
        """Whether messages were left for another call of `go_on`, so that this one was short."""
        return self._lanes.any_marked

    @property
    def rests(self) -> bool:
        """Whether a `tick` would change nothing, but for what it does each FORGET_EVERY_S."""
        return not (self._lanes.any_watched or self._lanes.any_marked or self.admission)

    # -- group membership

    def revoking(self) -> None:
        """Give up every shard, perhaps to get it back.

        Nothing new starts until `assigned`; the member must not rejoin while `starting` is not 0: a
        start that lands later would be an attempt that nobody runs.
        """
        self._lanes.drop_all()
        self.membership.revoke()

    def assigned(self, shards: Iterable[int], now_s: float) -> None:
        """Take exactly these shards."""
        self._lanes.drop_all()
        self.membership.assign(shards)
        for shard in list(self._shards.values()):
            attempts = self._attempts.in_shard(shard.number)
            self.membership.leave_if_idle(shard, attempts=attempts)
        self._decide(now_s)

    def stopping(self) -> None:
        """Start nothing any more."""
        self.membership.stop()

    # -- user_messages

    def delivered(self, delivery: Delivery, now_s: float) -> None:
        """Take a record of user_messages. Raises DeliveredTwice."""
        shard = self._shards.get(delivery.shard)
        if shard is None or not shard.owned:
            return  # a rebalance came between: it comes again, here or elsewhere
        self.clock.heard(delivery.timestamp_ms, now_s)
        self.membership.deliver(shard, delivery)
        event = delivery.event
        if delivery.refused is not None:
            shard.dead_lettering[delivery.offset] = None
            self._actions.append(DeadLetter(shard.number, delivery.offset, delivery.refused, 1))
        elif isinstance(event, UserMessage):
            self._lanes.add(shard, delivery, event)
        else:
            if isinstance(event, Cancel):
                self._lanes.cancel(shard, MessageKey(event.session_id, event.message_id))
            # It comes again as long as its message, which is before it, is not acknowledged.
            self.membership.done(shard, delivery.offset)
        self.membership.follow(shard, delivery, now_s)
        self._decide(now_s)

    # -- the session log

    def following(self, number: int, position: int, now_s: float) -> None:
        """Note that the shard's session log is read from `position` on, from now."""
        self.membership.following(number, position, now_s)

    def end_known(self, number: int, asked: float, end: int, now_s: float) -> None:
        """Take the answer to AskEnd."""
        shard = self._shards.get(number)
        if shard is None or shard.fold is None:
            return
        shard.fold.end_known(asked, end)
        self._read_back.go_on(shard, now_s)
        self._decide(now_s)

    def records(self, number: int, records: Sequence[Record], now_s: float) -> int:
        """Fold records of the shard's session log; gives how many could not be understood."""
        shard = self._shards.get(number)
        if shard is None or shard.fold is None:
            return 0
        bad = self._read_back.fold(shard, shard.fold, records, now_s)
        self._read_back.go_on(shard, now_s)
        self._decide(now_s)
        return bad

    # -- attempts of this process

    def started(self, key: MessageKey, attempt: str) -> None:
        """Note that the broker has acknowledged the start."""
        self._attempts.started(key, attempt)

    def answered(
        self, key: MessageKey, attempt: str, end: AttemptEnd, offset: int | None, now_s: float
    ) -> None:
        """Note how the attempt's task has ended; `offset` is that of the last record it wrote."""
        own = self._attempts.ended(key, attempt, end, offset)
        if own is None:
            return
        self._read_back.wait_for(self._shards[own.shard], key, offset, now_s)
        self._decide(now_s)

    # -- outcomes of other actions

    def gap_empty(self, number: int, gap: Gap) -> None:
        """Note that nothing lies in the gap."""
        if (shard := self._shards.get(number)) is not None:
            self.membership.gap_empty(shard, gap)

    def written(self, token: int, event: OwnerEvent, offset: int | None, now_s: float) -> None:
        """Note that a Write was acknowledged at `offset`; None: it failed, outcome unknown."""
        work = self._lanes.find(token)
        if work is None:
            return
        shard = self._shards[work.shard]
        if isinstance(event, Queued):
            if offset is None:
                work.queued_written = False
                self._lanes.watch(work)
        elif work.step is Step.WRITING and offset is None:
            work.step = Step.IDLE
            self._lanes.rest(work, now_s)
        elif work.step is Step.WRITING and offset is not None:
            work.step, work.written_offset = Step.AWAITING_READ_BACK, offset
            self._read_back.wait_for(shard, work.key, offset, now_s)
        self._decide(now_s)

    def looked_up(self, token: int, *, over: bool, sure: bool, now_s: float) -> None:
        """Take the answer to LookUp; `sure` if it covers all that the fold does not."""
        self._look_ups.answered(token)
        work = self._lanes.find(token)
        if work is None:
            return
        work.earlier_life = EarlierLife.NONE if sure else EarlierLife.UNSURE
        if work.step is Step.LOOKING_UP:
            work.step = Step.IDLE
        if over:
            self._lanes.finish(work, over_elsewhere=True, remembering=Remembering.NEEDED)
        else:
            self._lanes.mark(work)
        self._decide(now_s)

    def stored(self, token: int, now_s: float, *, remembered: bool = True) -> None:
        """Note that Redis has the turns, or (not `remembered`) that the fold must keep them."""
        work = self._lanes.find(token)
        if work is None:
            return
        shard = self._shards[work.shard]
        if shard.fold is not None and remembered:
            shard.fold.set_stored(work.key)
        self._lanes.finish(work, over_elsewhere=False, remembering=Remembering.STORED)
        self._decide(now_s)

    def dead_lettered(self, number: int, offset: int, now_s: float) -> None:
        """Note that the record is with the dead letters."""
        shard = self._shards.get(number)
        if shard is None or offset not in shard.dead_lettering:
            return
        token = shard.dead_lettering.pop(offset)
        if token is None:
            self.membership.done(shard, offset)
        elif (work := self._lanes.find(token)) is not None:
            work.step, work.dead_lettered = Step.IDLE, True
            self._lanes.mark(work)
        self._decide(now_s)

    # -- time, and what starts

    def go_on(self, now_s: float) -> None:
        """Judge more of what was left."""
        self._decide(now_s)

    def tick(self, now_s: float) -> None:
        """Judge what waits for time to pass."""
        self._lanes.mark_watched()
        self._decide(now_s)
        if now_s >= self._forget_at_s:
            self._forget_at_s = now_s + FORGET_EVERY_S
            self.membership.forget_old(
                lambda shard, key: shard.find(key) is not None or key in self._attempts
            )

    def _decide(self, now_s: float) -> None:
        self._judge.judge_marked(now_s)
        if not self.admission or self.membership.holding:
            return
        beside = self._attempts.beside(now_s, self.membership, careful=self.admission.careful)
        for work in self.admission.next(beside, now_s):
            self.admission.leave(work)
            fold, possible = self._shards[work.shard].fold, self._may_continue()
            continues = continued_by_next(fold, work.key, possible=possible)
            self._attempts.begin(work, now_s, continues)
        for work in self.admission.take_untold():
            fold = self._shards[work.shard].fold
            if fold is None or fold.view(work.key) is None:
                self._judge.say_queued(work, 0)
