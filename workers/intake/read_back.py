"""What waits until the fold has passed a record: an attempt's end, an event of a shard's owner.

That a record was acknowledged says only that it is in the log; what it means there, the fold says
when it is read back. Pure.
"""

from collections.abc import Sequence
from heapq import heappop, heappush

from schemas.events import UndecodableEvent, decode_session_event
from schemas.shard_log import Record
from schemas.transcript import Outcome
from workers.intake.actions import AttemptEnd, MessageKey
from workers.intake.broker_clock import BrokerClock
from workers.intake.lanes import Lanes
from workers.intake.membership import Membership
from workers.intake.own_attempts import OwnAttempts
from workers.intake.shard_fold import ShardFold
from workers.intake.state import Shard, Step


class ReadBack:
    """Goes on with a message when the shard's fold has passed the record that it waited for."""

    def __init__(
        self, membership: Membership, attempts: OwnAttempts, lanes: Lanes, clock: BrokerClock
    ) -> None:
        self._membership = membership
        self._attempts = attempts
        self._lanes = lanes
        self._clock = clock

    def wait_for(self, shard: Shard, key: MessageKey, offset: int | None, now_s: float) -> None:
        """Go on with the message when the record at `offset` was read; None: there is none."""
        if offset is not None:
            heappush(shard.read_backs, (offset, key))
        self._settle(shard, key, now_s)

    def fold(self, shard: Shard, fold: ShardFold, records: Sequence[Record], now_s: float) -> int:
        """Fold records of the shard's session log; gives how many could not be understood."""
        bad = 0
        if records:
            self._clock.heard(records[-1].timestamp_ms, now_s)
        for record in records:
            fold.position = record.offset + 1
            try:
                event = decode_session_event(record.value)
            except UndecodableEvent:
                bad += 1
                continue
            if event is None:
                continue
            outcome = fold.apply(event, record.offset, record.timestamp_ms, now_s)
            if outcome is Outcome.FORGOTTEN:
                self._forget(shard, event.session_id, record.offset)
            elif outcome not in (Outcome.CHUNK, Outcome.REASONING, Outcome.ALIVE):
                self._attempts.heard(event, outcome)
            if outcome is Outcome.STARTED:
                self._attempts.read_back(event, fold)
            if outcome.counts:
                self._lanes.heard(shard, event, outcome)
        return bad

    def _forget(self, shard: Shard, session_id: str, offset: int) -> None:
        """Whatever is under way in the session is of no use any more, and is written no more."""
        self._attempts.abandon_all(session_id)
        self._lanes.mark_lane(shard, session_id)
        self._membership.forget_history(shard, session_id, offset)

    def go_on(self, shard: Shard, now_s: float) -> None:
        """Settle what waited for the position that the shard's fold has now."""
        fold = shard.fold
        if fold is None:
            return
        if fold.reached():
            if shard.owned and not shard.folded:
                shard.folded = True
                self._lanes.mark_folded(shard)
            self._lanes.mark_awaiting_end(shard)
        while shard.read_backs and shard.read_backs[0][0] < fold.position:
            _, key = heappop(shard.read_backs)
            self._settle(shard, key, now_s)

    def _settle(self, shard: Shard, key: MessageKey, now_s: float) -> None:
        position = shard.fold.position if shard.fold else 0
        own = self._attempts.settle(key, position)
        work = shard.find(key)
        if work is not None:
            if own is not None and own.end is AttemptEnd.RELEASED:
                self._lanes.rest(work, now_s)
            if work.step is Step.AWAITING_READ_BACK and work.written_offset < position:
                work.step = Step.IDLE
            self._lanes.mark(work)
        attempts = self._attempts.in_shard(shard.number)
        self._membership.leave_if_idle(shard, attempts=attempts)
