"""The life of every delivered message in this process, decided without I/O, clock or chance.

What happens goes in as method calls (a record was delivered, shards were assigned or revoked, the
session log was read, an answer started or ended, a write was acknowledged, time passes); what is to
be done comes out of `take()`.

* A *lane* holds one session's messages in the order of the log; the first without a terminal runs.
* What is true of a message comes from the shard's fold, never from what this process believes to
  have written: a terminal ends a message when it is read back, and only then is it acknowledged.
* After each change the session's messages are judged anew (`workers.intake.decision`).
* A revoke drops every message: what is unacknowledged comes again. Answers that have sent their
  start go on, and the message that comes again finds its answer running.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import count

from schemas.events import (
    Cancel,
    SessionEvent,
    Status,
    UndecodableEvent,
    UserMessage,
    decode_session_event,
)
from schemas.limits import ASSIGNMENT_FOLD_MARGIN_S
from schemas.shard_log import Record
from schemas.transcript import Outcome as Effect
from workers.history.rebuild import AtHand
from workers.intake.ack_window import Window
from workers.intake.actions import (
    Abandon,
    Action,
    DeadLetter,
    Delivery,
    Fold,
    MessageKey,
    Outcome,
    Queued,
    Said,
    StopReading,
    Unfollow,
)
from workers.intake.decision import known_stop
from workers.intake.lanes import Lanes
from workers.intake.shard_fold import ShardFold
from workers.intake.state import Bounds, Shard, Work

FORGET_EVERY_S = 10.0


class Intake:
    """All messages of this process. Every method may give rise to actions; `take` gives them."""

    def __init__(self, *, epoch: int, bounds: Bounds, new_id: Callable[[], str]) -> None:
        self._epoch = epoch
        self._bounds = bounds
        self._tokens = count(1)
        self._lanes = Lanes(epoch=epoch, bounds=bounds, new_id=new_id)
        self._shards = self._lanes.shards
        self._stopping = False
        self._forget_at = 0.0

    def take(self) -> list[Action]:
        """Give what is to be done since the last call, in order."""
        actions, self._lanes.actions = self._lanes.actions, []
        return actions

    # -- facts for the shell and its metrics

    @property
    def running(self) -> int:
        """Answers of this process that have not ended."""
        return sum(not mine.done for mine in self._lanes.mine.values())

    @property
    def starting(self) -> int:
        """Starts that the broker has neither acknowledged nor refused."""
        return sum(mine.starting and not mine.done for mine in self._lanes.mine.values())

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
    def read(self) -> dict[int, int | None]:
        """Next offset of each owned shard that is being read; None if nothing came of it yet.

        A shard whose reading was stopped at its bound is not among them.
        """
        shards = self._shards.values()
        return {s.number: s.window.next for s in shards if s.owned and not s.window.stopped}

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
        self._lanes.holding = True
        for shard in self._shards.values():
            self._drop(shard)

    def assigned(self, shards: Iterable[int], now: float) -> None:
        """Exactly these shards belong to this process now."""
        self._lanes.holding = self._stopping
        wanted = set(shards)
        for number in wanted - self._shards.keys():
            self._shards[number] = Shard(number, self._window())
        for shard in list(self._shards.values()):
            self._drop(shard)
            shard.owned = shard.number in wanted
            shard.folded = False
            if shard.fold is not None:
                shard.fold.look_anew()
            self._leave_if_idle(shard)
        self._lanes.fill(now)

    def stopping(self) -> None:
        """Nothing starts any more."""
        self._stopping = self._lanes.holding = True

    def _drop(self, shard: Shard) -> None:
        for lane in shard.lanes.values():
            for work in lane.values():
                self._lanes.forget(work)
        shard.lanes.clear()
        shard.storing.clear()
        shard.window.clear()
        for place in [place for place in self._lanes.dead if place[0] == shard.number]:
            del self._lanes.dead[place]
        shard.owned = False

    def _leave_if_idle(self, shard: Shard) -> None:
        if shard.owned or self._shards.get(shard.number) is not shard:
            return
        if any(mine.shard == shard.number for mine in self._lanes.mine.values()):
            return
        del self._shards[shard.number]
        if shard.fold is not None or shard.folding:
            self._lanes.actions.append(Unfollow(shard.number))

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
            self._lanes.actions.append(StopReading(shard.number))
        event = delivery.event
        if delivery.refused is not None:
            self._lanes.dead[shard.number, delivery.offset] = None
            self._lanes.actions.append(
                DeadLetter(shard.number, delivery.offset, delivery.refused, 1)
            )
        elif isinstance(event, UserMessage):
            self._take_message(shard, delivery, event, now)
        else:
            if isinstance(event, Cancel):
                self._take_cancel(shard, event, now)
            # It comes again as long as its message, which is before it, is not acknowledged.
            self._lanes.done(shard, delivery.offset)
        if shard.fold is None and not shard.folding:
            shard.folding = True
            margin_ms = int(ASSIGNMENT_FOLD_MARGIN_S * 1000)
            self._lanes.actions.append(Fold(shard.number, delivery.timestamp_ms - margin_ms))
        elif shard.fold is not None and not shard.folded:
            self._lanes.ask_end(shard, now)

    def _take_message(
        self, shard: Shard, delivery: Delivery, message: UserMessage, now: float
    ) -> None:
        lane = shard.lanes.setdefault(message.session_id, {})
        work = lane.get(message.message_id)
        if work is not None:
            work.offsets.append(delivery.offset)
            return
        work = lane[message.message_id] = Work(
            token=next(self._tokens),
            shard=shard.number,
            generation=delivery.generation,
            message=message,
            offsets=[delivery.offset],
            accepted_ms=delivery.timestamp_ms,
            traceparent=delivery.traceparent,
            asked_before=shard.fold.asked if shard.fold else 0,
        )
        self._lanes.works[work.token] = work
        self._lanes.advance(shard, message.session_id, now)
        self._lanes.fill(now)

    def _take_cancel(self, shard: Shard, cancel: Cancel, now: float) -> None:
        work = shard.lanes.get(cancel.session_id, {}).get(cancel.message_id)
        if work is None:
            return  # over already, else it would have been delivered before
        work.stop = "cancel"
        self._lanes.advance(shard, cancel.session_id, now)
        self._lanes.fill(now)

    # -- the session log

    def following(self, number: int, position: int, now: float) -> None:
        """The shard is read from `position` on, from now."""
        shard = self._shards.get(number)
        if shard is None:
            self._lanes.actions.append(Unfollow(number))
            return
        shard.folding = shard.folded = False
        shard.fold = ShardFold(position, self._epoch)
        self._lanes.ask_end(shard, now)

    def end_known(self, number: int, asked: float, end: int, now: float) -> None:
        """The answer to AskEnd."""
        shard = self._shards.get(number)
        if shard is None or shard.fold is None:
            return
        shard.fold.end_known(asked, end)
        self._read_back(shard, now)
        self._lanes.fill(now)

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
                self._lanes.advance(shard, event.session_id, now)
        self._read_back(shard, now)
        self._lanes.fill(now)
        return bad

    def _matters(self, shard: Shard, event: SessionEvent, effect: Effect) -> bool:
        lane = shard.lanes.get(event.session_id)
        if lane is None:
            return False
        if effect not in (Effect.CHUNK, Effect.ALIVE):
            return True
        # By far the most. It matters only if its silence made us ready to start another attempt.
        work = lane.get(event.message_id)
        return work is not None and self._lanes.is_ready(work)

    def _outranked(self, event: SessionEvent, effect: Effect) -> None:
        if effect in (Effect.CHUNK, Effect.ALIVE):
            return
        mine = self._lanes.mine.get(MessageKey(event.session_id, event.message_id))
        if mine is None or mine.done:
            return
        if isinstance(event, Status) and event.state == "cancelling":
            if event.attempt == mine.attempt and event.reason is not None:
                self._lanes.stop(mine, known_stop(event.reason))
            return
        own = event.attempt == mine.attempt
        # Also of our own attempt: if we seemed silent, the owner has ended it in our place.
        lost = effect is Effect.ENDED
        if isinstance(event, Status) and event.state == "generating":
            # A start of another that is lower than ours, which is still to come, changes nothing.
            higher = event.fence is not None and event.fence > mine.fence
            lost = not effect.counts if own else effect is Effect.STARTED and higher
        if lost:
            mine.stopping = True
            self._lanes.actions.append(Abandon(mine.key))

    def _read_back(self, shard: Shard, now: float) -> None:
        fold = shard.fold
        if fold is None:
            return
        if fold.reached():
            if shard.owned:
                shard.folded = True
            for session_id in list(shard.lanes):
                self._lanes.advance(shard, session_id, now)
        for key in list(shard.unread):
            self._settle(shard, key, now)

    def _settle(self, shard: Shard, key: MessageKey, now: float) -> None:
        """Go on with a message whose answer has ended or whose write was acknowledged."""
        position = shard.fold.position if shard.fold else 0
        mine = self._lanes.mine.get(key)
        work = shard.lanes.get(key.session_id, {}).get(key.message_id)
        if mine is not None and mine.done and _passed(mine.read_past, position):
            del self._lanes.mine[key]
            if work is not None and mine.released:
                self._lanes.rest(work, now)
        if work is not None and work.read_past is not None and _passed(work.read_past, position):
            work.writing, work.read_past = False, None
        waits = (mine is not None and key in self._lanes.mine and mine.done) or (
            work is not None and work.read_past is not None
        )
        if waits:
            return
        shard.unread.pop(key, None)
        self._lanes.advance(shard, key.session_id, now)
        self._leave_if_idle(shard)

    # -- answers of this process

    def started(self, key: MessageKey, attempt: str) -> None:
        """The broker has acknowledged the start."""
        mine = self._lanes.mine.get(key)
        if mine is not None and mine.attempt == attempt:
            mine.starting = False

    def answered(
        self, key: MessageKey, attempt: str, outcome: Outcome, offset: int | None, now: float
    ) -> None:
        """The answer task has ended; `offset` is that of the last record it wrote."""
        mine = self._lanes.mine.get(key)
        if mine is None or mine.attempt != attempt:
            return
        mine.done, mine.starting = True, False
        mine.released = outcome is Outcome.RELEASED
        mine.read_past = offset
        shard = self._shards[mine.shard]
        shard.unread[key] = None
        self._settle(shard, key, now)
        self._lanes.fill(now)

    # -- outcomes of other actions

    def written(self, token: int, said: Said, offset: int | None, now: float) -> None:
        """A Write was acknowledged at `offset`, or failed (None): its outcome is unknown."""
        work = self._lanes.works.get(token)
        if work is None:
            return
        shard = self._shards[work.shard]
        if isinstance(said, Queued):
            work.said_queued = offset is not None
            self._lanes.watched[work.token] = work
        elif offset is None:
            work.writing = False
            self._lanes.rest(work, now)
            self._lanes.advance(shard, work.message.session_id, now)
        else:
            work.read_past = offset
            shard.unread[work.key] = None
            self._settle(shard, work.key, now)
        self._lanes.fill(now)

    def looked_up(self, token: int, *, over: bool, sure: bool, now: float) -> None:
        """History and `answers` were asked; `sure` if they cover all that the fold does not."""
        work = self._lanes.works.get(token)
        if work is None:
            return
        shard = self._shards[work.shard]
        work.looked_up, work.sure = True, sure
        if over:
            self._lanes.finish(shard, work)
        self._lanes.advance(shard, work.message.session_id, now)
        self._lanes.fill(now)

    def stored(self, token: int, now: float, *, remembered: bool = True) -> None:
        """The turns are in the history, or it is forgotten and lives in the fold meanwhile."""
        work = self._lanes.works.get(token)
        if work is None:
            return
        shard = self._shards[work.shard]
        if shard.fold is not None and remembered:
            shard.fold.set_stored(work.key)
        self._lanes.finish(shard, work)
        self._lanes.fill(now)

    def dead_lettered(self, number: int, offset: int, now: float) -> None:
        """The record is with the dead letters."""
        if (number, offset) not in self._lanes.dead:
            return
        token = self._lanes.dead.pop((number, offset))
        shard = self._shards[number]
        if token is None:
            self._lanes.done(shard, offset)
        elif token in self._lanes.works:
            work = self._lanes.works[token]
            work.dead_lettering, work.dead_lettered = False, True
            self._lanes.advance(shard, work.message.session_id, now)

    # -- time

    def tick(self, now: float) -> None:
        """Time has passed."""
        watched, self._lanes.watched = self._lanes.watched, {}
        for work in watched.values():
            if work.token in self._lanes.works:
                self._lanes.advance(self._shards[work.shard], work.message.session_id, now)
        self._lanes.fill(now)
        if now >= self._forget_at:
            self._forget_at = now + FORGET_EVERY_S
            self._forget_old()

    def _forget_old(self) -> None:
        for shard in self._shards.values():
            if shard.fold is None:
                continue
            lanes = shard.lanes.items()
            needed = {MessageKey(s, m) for s, lane in lanes for m in lane} | self._lanes.mine.keys()
            shard.fold.forget_before(shard.settled_floor_ms, needed)
            # One round late: what was acknowledged a moment ago may not be committed.
            shard.settled_floor_ms = shard.floor_ms


def _passed(offset: int | None, position: int) -> bool:
    return offset is None or offset < position
