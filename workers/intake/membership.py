"""Which shards are ours, and how far each is delivered, folded and acknowledged.

A revoke takes every shard, perhaps to give it back: what was delivered is dropped, since all that
is unacknowledged comes again. A shard in which an attempt of ours runs on stays followed until that
attempt has ended. Pure.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from schemas.limits import ASSIGNMENT_FOLD_MARGIN_S
from workers.intake.ack_window import AckWindow, Gap
from workers.intake.actions import (
    Ack,
    Action,
    AskEnd,
    Delivery,
    Follow,
    ForgetHistory,
    LookIntoGap,
    MessageKey,
    ReadOn,
    StopReading,
    Unfollow,
)
from workers.intake.shard_fold import ShardFold
from workers.intake.state import Bounds, Shard

FOLD_MARGIN_MS = int(ASSIGNMENT_FOLD_MARGIN_S * 1000)


class Membership:
    """The shards of this process. `actions` grows; whoever performs them empties it."""

    def __init__(self, *, epoch: int, bounds: Bounds, actions: list[Action]) -> None:
        self.shards: dict[int, Shard] = {}
        self.holding = False
        """Nothing starts: the shards are being taken away, or the process is to end."""
        self._stopping = False
        self._epoch = epoch
        self._bounds = bounds
        self._actions = actions

    # -- assigned and revoked

    def revoke(self) -> None:
        """Give up every shard, perhaps to get it back; nothing starts until `assign`."""
        self.holding = True
        for shard in self.shards.values():
            _give_up(shard)

    def assign(self, numbers: Iterable[int]) -> None:
        """Take exactly these shards; each is folded anew before anything of it is decided."""
        self.holding = self._stopping
        wanted = set(numbers)
        for number in wanted - self.shards.keys():
            window = AckWindow(
                max_records=self._bounds.read_ahead_messages,
                max_bytes=self._bounds.read_ahead_bytes,
            )
            self.shards[number] = Shard(number, window)
        for shard in self.shards.values():
            _give_up(shard)
            shard.owned = shard.number in wanted
            if shard.fold is not None:
                shard.fold.look_anew()
        self._share_out(len(wanted))

    def _share_out(self, owned: int) -> None:
        """Give each owned shard its part of what this process may read ahead.

        A record that is larger than the part is taken all the same, one at a time.
        """
        for shard in self.owned():
            shard.window.resize(max(1, self._bounds.read_ahead_bytes // owned))

    def stop(self) -> None:
        """Start nothing any more, also after another `assign`."""
        self._stopping = self.holding = True

    def leave_if_idle(self, shard: Shard, *, attempts: int) -> None:
        """Follow the shard no longer if it isn't ours and no attempt of ours runs in it."""
        if shard.owned or attempts or self.shards.get(shard.number) is not shard:
            return
        del self.shards[shard.number]
        if shard.fold is not None or shard.follow_asked:
            self._actions.append(Unfollow(shard.number))

    def owned(self) -> Iterator[Shard]:
        """Give the shards that are ours."""
        return (shard for shard in self.shards.values() if shard.owned)

    @property
    def unfinished(self) -> int:
        """Records delivered and not acknowledged."""
        return sum(len(shard.window) for shard in self.shards.values())

    @property
    def waiting_for_history(self) -> int:
        """Messages that have ended and wait for their turns to be stored."""
        return sum(len(shard.storing) for shard in self.shards.values())

    @property
    def positions(self) -> dict[int, int | None]:
        """Next offset of each owned shard that is being read; None if nothing came of it yet.

        A shard whose reading was stopped at its bound is not among them.
        """
        owned = self.owned()
        return {shard.number: shard.window.next for shard in owned if not shard.window.stopped}

    # -- delivered and acknowledged

    def deliver(self, shard: Shard, delivery: Delivery) -> None:
        """Take a record into the shard's window. Raises DeliveredTwice."""
        gap = shard.window.add(
            delivery.offset, delivery.timestamp_ms, delivery.size_bytes, begins=delivery.begins
        )
        if gap is not None:
            self._actions.append(LookIntoGap(shard.number, gap))
        if shard.window.full and not shard.window.stopped:
            shard.window.stopped = True
            self._actions.append(StopReading(shard.number))

    def done(self, shard: Shard, offset: int) -> None:
        """Acknowledge what can be, now that this record is done."""
        self._acknowledge(shard, shard.window.done(offset))

    def gap_empty(self, shard: Shard, gap: Gap) -> None:
        """Acknowledge what can be, now that this gap was looked into."""
        self._acknowledge(shard, shard.window.empty(gap))

    def _acknowledge(self, shard: Shard, finished: Iterator[int]) -> None:
        oldest_ms = shard.window.oldest_ms
        for acknowledged in finished:
            self._actions.append(Ack(shard.number, acknowledged))
        # What is older than this can't come again, except through a duplicate of an old message.
        shard.forget_before_next_ms = (shard.window.oldest_ms or oldest_ms or FOLD_MARGIN_MS) - (
            FOLD_MARGIN_MS
        )
        if shard.window.stopped and shard.window.roomy:
            shard.window.stopped = False
            self._actions.append(ReadOn(shard.number))

    # -- folded

    def follow(self, shard: Shard, delivery: Delivery, now_s: float) -> None:
        """Have the session log read, from a margin before the first delivered record."""
        if shard.fold is None and not shard.follow_asked:
            shard.follow_asked = True
            self._actions.append(Follow(shard.number, delivery.timestamp_ms - FOLD_MARGIN_MS))
        elif shard.fold is not None and not shard.folded:
            self.ask_end(shard, now_s)

    def following(self, number: int, position: int, now_s: float) -> None:
        """Begin the shard's fold at `position`, from where it is read now."""
        shard = self.shards.get(number)
        if shard is None:
            self._actions.append(Unfollow(number))
            return
        shard.follow_asked = shard.folded = False
        shard.fold = ShardFold(position, self._epoch)
        self.ask_end(shard, now_s)

    def ask_end(self, shard: Shard, now_s: float) -> None:
        """Have the shard read to the end that it has now, unless that is under way."""
        if shard.fold is not None and shard.fold.ask_end(now_s):
            self._actions.append(AskEnd(shard.number, now_s))

    def forget_history(self, shard: Shard, session_id: str, offset: int) -> None:
        """Have the history of a session go that was forgotten, if the shard is ours."""
        if shard.owned:
            self._actions.append(ForgetHistory(session_id, offset))

    def is_mute(self, number: int, key: MessageKey) -> bool:
        """Say whether nothing was read back of a message of ours but its latest start."""
        fold = self.shards[number].fold
        return fold is None or fold.is_mute(key)

    def forget_old(self, needed: Callable[[Shard, MessageKey], bool]) -> None:
        """Let the folds forget what can't come again and nobody needs."""
        for shard in self.shards.values():
            if shard.fold is not None:
                shard.fold.forget_before(shard.forget_before_ms, partial(needed, shard))
            # One round late: what was acknowledged a moment ago may not be committed.
            shard.forget_before_ms = shard.forget_before_next_ms


def _give_up(shard: Shard) -> None:
    shard.lanes.clear()
    shard.storing.clear()
    shard.awaiting_end.clear()
    shard.dead_lettering.clear()
    shard.window.clear()
    shard.owned = shard.folded = False
