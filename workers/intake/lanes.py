"""The lanes: each session's delivered messages in the order of the log.

The first message of a lane without a terminal may run, the others wait; so when a head has ended,
the next one is judged. Whoever learns something of a message marks it; `judge` judges what is
marked, once for several changes, by what is true after all of them. Pure.
"""

from collections import OrderedDict
from itertools import count

from schemas.events import Error, SessionEvent, UserMessage
from schemas.transcript import Message, Outcome
from workers.intake.ack_window import Remembering, may_be_acknowledged
from workers.intake.actions import Delivery, MessageKey
from workers.intake.admission import Admission
from workers.intake.look_ups import LookUps
from workers.intake.membership import Membership
from workers.intake.state import EarlierLife, Lane, Shard, Work


class Lanes:
    """The delivered messages of all shards of ours: which there are, and which have changed."""

    def __init__(self, membership: Membership, admission: Admission, look_ups: LookUps) -> None:
        self._membership = membership
        self._admission = admission
        self._look_ups = look_ups
        self._tokens = count(1)
        self._works: dict[int, Work] = {}
        self._marked: OrderedDict[int, Work] = OrderedDict()
        self._watched: dict[int, Work] = {}

    # -- which messages there are

    def add(self, shard: Shard, delivery: Delivery, message: UserMessage) -> None:
        """Put a delivered message at the end of its lane, or beside its first record."""
        lane = shard.lanes.setdefault(message.session_id, Lane())
        work = lane.works.get(message.message_id)
        if work is not None:
            work.offsets.append(delivery.offset)
            return
        work = Work(
            token=next(self._tokens),
            shard=shard.number,
            generation=delivery.generation,
            message=message,
            offsets=[delivery.offset],
            accepted_ms=delivery.timestamp_ms,
            traceparent=delivery.traceparent,
            asked_before=shard.fold.asked if shard.fold else 0,
        )
        lane.add(work)
        self._works[work.token] = work
        self.mark(work)

    def find(self, token: int) -> Work | None:
        """Give the message that an action was for, if it is still ours."""
        return self._works.get(token)

    def close(self, shard: Shard, work: Work) -> None:
        """Let the next message of the lane come forward, since this one is over."""
        self._admission.leave(work)
        self._look_ups.leave(work)
        next_head = shard.lanes[work.message.session_id].close(work)
        if next_head is not None:
            self.mark(next_head)

    def finish(self, work: Work, *, over_elsewhere: bool, remembering: Remembering) -> None:
        """Acknowledge all records of the message, if that is allowed, and forget it."""
        shard = self._membership.shards[work.shard]
        view = shard.fold.view(work.key) if shard.fold is not None else None
        if not may_be_acknowledged(view, over_elsewhere=over_elsewhere, remembering=remembering):
            return
        self.close(shard, work)
        for held in (self._works, self._watched, self._marked, shard.storing, shard.awaiting_end):
            held.pop(work.token, None)
        lane = shard.lanes[work.message.session_id]
        del lane.works[work.message.message_id]
        if not lane.works:
            del shard.lanes[work.message.session_id]
        for offset in work.offsets:
            self._membership.done(shard, offset)

    def drop_all(self) -> None:
        """Forget every message: what is unacknowledged comes again, here or elsewhere."""
        self._works.clear()
        self._marked.clear()
        self._watched.clear()
        self._admission.clear()
        self._look_ups.clear()

    # -- which have changed

    def mark(self, work: Work) -> None:
        """Have a message judged anew."""
        self._marked[work.token] = work

    def watch(self, work: Work) -> None:
        """Have it judged anew as time passes."""
        self._watched[work.token] = work

    def rest(self, work: Work, now_s: float) -> None:
        """Wait before the next try, since something has failed."""
        work.retry.failed(now_s)
        self.watch(work)
        self.mark(work)

    def mark_folded(self, shard: Shard) -> None:
        """Have every message of a shard judged: it is folded from now on."""
        for lane in shard.lanes.values():
            for work in lane.works.values():
                # Before anything is judged: what is to be interrupted must not be started.
                self.interrupt_before(shard, lane, work)
                self.mark(work)

    def mark_lane(self, shard: Shard, session_id: str) -> None:
        """Have every message of a session judged."""
        lane = shard.lanes.get(session_id)
        for work in lane.works.values() if lane is not None else ():
            self.mark(work)

    def mark_awaiting_end(self, shard: Shard) -> None:
        """Have those judged that waited for the shard to be read to its end."""
        awaiting, shard.awaiting_end = shard.awaiting_end, {}
        self._marked.update(awaiting)

    def mark_watched(self) -> None:
        """Have those judged that wait for time to pass."""
        watched, self._watched = self._watched, {}
        self._marked.update(watched)

    @property
    def any_watched(self) -> bool:
        """Whether something waits for time to pass."""
        return bool(self._watched)

    @property
    def any_marked(self) -> bool:
        """Whether something is to be judged."""
        return bool(self._marked)

    def take_marked(self) -> Work | None:
        """Give the next message that is to be judged."""
        while self._marked:
            token, work = self._marked.popitem(last=False)
            if token in self._works:
                return work
        return None

    # -- what others say of them

    def heard(self, shard: Shard, event: SessionEvent, outcome: Outcome) -> None:
        """Note that an event was read that counts."""
        work = shard.find(MessageKey(event.session_id, event.message_id))
        if work is None:
            return
        # Chunks are by far the most. They change a decision only if silence had made us ready to
        # start another attempt.
        frequent = outcome in (Outcome.CHUNK, Outcome.REASONING, Outcome.ALIVE)
        if not frequent or work in self._admission:
            self.mark(work)

    def cancel(self, shard: Shard, key: MessageKey) -> None:
        """Stop a message; one that is not here has ended, else it would have come before."""
        work = shard.find(key)
        if work is not None:
            work.stop = "cancel"
            self.mark(work)

    def interrupt_before(self, shard: Shard, lane: Lane, work: Work) -> None:
        """Stop what stands before an interrupting message, also when that has ended itself.

        It is done at every delivery: the process that took the message first may have died before
        it had ended those before it.
        """
        if work.message.on_busy != "interrupt" or work.interrupted_before or shard.fold is None:
            return
        view = shard.fold.view(work.key)
        error = view.error if view else None
        busy = isinstance(error, Error) and error.code == "busy"
        if busy or not _stands_in_its_place(work, view):
            return
        work.interrupted_before = True
        for other in lane.before(work):
            if other.stop is None:
                other.stop = "interrupt"
                self.mark(other)
            if other.interrupted_before:
                break  # it has stopped all that stand before it


def _stands_in_its_place(work: Work, view: Message | None) -> bool:
    """Say whether the lane holds the message where it was said first.

    A message that is sent again after its first record was acknowledged comes behind messages that
    were said after it, and must not interrupt those. The log repeats the first record's prompt.
    """
    if view is None:
        return work.earlier_life is not EarlierLife.NOT_ASKED
    return view.prompt is not None and view.prompt.created_at == work.message.created_at
