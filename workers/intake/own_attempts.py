"""The attempts of this process, from the sending of their start until their end is read back.

They outlive a revoke: an answer that has sent its start goes on, and the message that comes again,
here or elsewhere, finds it running. Pure.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from schemas.events import SessionEvent, SessionForgotten, Status, StopReason
from schemas.transcript import Fence, Outcome
from workers.intake.actions import Abandon, Action, AttemptEnd, GoOn, MessageKey, Start, Stop
from workers.intake.admission import MUTE_S, TRIAL_S, Beside
from workers.intake.decision import Care, known_stop
from workers.intake.membership import Membership
from workers.intake.shard_fold import ShardFold
from workers.intake.state import Work


@dataclass(slots=True)
class OwnAttempt:
    """One try of this process at an answer. `end` is set when its task has ended."""

    shard: int
    key: MessageKey
    attempt: str
    fence: Fence
    care: Care
    since_s: float
    start_in_flight: bool = True
    told_to_stop: bool = False
    end: AttemptEnd | None = None
    last_offset: int | None = None
    """Of the last record that it wrote, once it has ended; None: it left none to be read back."""


class OwnAttempts:
    """At most one attempt a message. `actions` grows; whoever performs them empties it."""

    def __init__(self, *, epoch: int, new_id: Callable[[], str], actions: list[Action]) -> None:
        self._epoch = epoch
        self._new_id = new_id
        self._actions = actions
        self._attempts: dict[MessageKey, OwnAttempt] = {}
        self._running: dict[MessageKey, OwnAttempt] = {}
        self._running_by_care: Counter[Care] = Counter()
        self._in_flight = 0
        self._latest: deque[OwnAttempt] = deque()  # begun less than MUTE_S ago, and some more
        self._in_shard: Counter[int] = Counter()

    # -- what is known of them

    @property
    def running(self) -> int:
        """How many have not ended."""
        return len(self._running)

    @property
    def starting(self) -> int:
        """Starts that the broker has neither acknowledged nor refused."""
        return self._in_flight

    def beside(self, now_s: float, membership: Membership, *, careful: bool) -> Beside:
        """Say what runs here beside a message that asks to start.

        `careful`: something is known against one that asks. Else only the number counts, and
        whether somebody is on trial beside whom nothing may start.
        """
        if not careful and not self._running_by_care[Care.TWICE]:
            return Beside.of_no_concern(self.running)
        mute = [
            own
            for own in self._young(now_s)
            if own.end is None and membership.is_mute(own.shard, own.key)
        ]
        first_moments = {own.care for own in mute if now_s - own.since_s < TRIAL_S}
        return Beside(
            running=self.running,
            on_trial=Care.SUSPECT in first_moments or Care.TWICE in first_moments,
            twice_on_trial=Care.TWICE in first_moments,
            spoke_mute=Care.SPOKE in first_moments,
            any_mute=bool(mute),
        )

    def _young(self, now_s: float) -> deque[OwnAttempt]:
        while self._latest and now_s - self._latest[0].since_s >= MUTE_S:
            self._latest.popleft()
        return self._latest

    def in_shard(self, number: int) -> int:
        """How many of the shard are here, until their end is read back."""
        return self._in_shard[number]

    def __contains__(self, key: object) -> bool:
        return key in self._attempts

    # -- their life

    def begin(self, work: Work, now_s: float, continues: str | None = None) -> None:
        """Start an attempt; its fence tells it from every earlier one of this delivery.

        `continues`: the attempt whose text it goes on with.
        """
        fence = self.next_fence(work)
        work.starts_sent += 1
        care = work.suspicion.care
        own = OwnAttempt(work.shard, work.key, self._new_id(), fence, care, now_s)
        self._attempts[own.key] = self._running[own.key] = own
        self._running_by_care[care] += 1
        self._young(now_s)
        self._latest.append(own)
        self._in_shard[own.shard] += 1
        self._in_flight += 1
        self._actions.append(
            Start(
                work.shard,
                work.message,
                own.attempt,
                fence,
                work.accepted_ms,
                work.traceparent,
                continues,
                work.offsets[0],
            )
        )

    def next_fence(self, work: Work) -> Fence:
        """Give the fence that the message's next start would have."""
        return self._epoch, work.generation, work.starts_sent

    def started(self, key: MessageKey, attempt: str) -> None:
        """Note that the broker has acknowledged the start."""
        own = self._attempts.get(key)
        if own is not None and own.attempt == attempt:
            self._landed(own)

    def ended(
        self, key: MessageKey, attempt: str, end: AttemptEnd, last_offset: int | None
    ) -> OwnAttempt | None:
        """Note how its task has ended; gives the attempt, or None if it is not known here."""
        own = self._attempts.get(key)
        if own is None or own.attempt != attempt or own.end is not None:
            return None
        self._landed(own)
        own.end, own.last_offset = end, last_offset
        del self._running[key]
        self._running_by_care[own.care] -= 1
        return own

    def settle(self, key: MessageKey, position: int) -> OwnAttempt | None:
        """Forget the attempt if it has ended and its last record was read back; gives it then."""
        own = self._attempts.get(key)
        if own is None or own.end is None:
            return None
        if own.last_offset is not None and own.last_offset >= position:
            return None
        del self._attempts[key]
        self._in_shard[own.shard] -= 1
        return own

    def stop(self, key: MessageKey, reason: StopReason) -> None:
        """End an attempt early, once, keeping its text."""
        own = self._running.get(key)
        if own is not None and not own.told_to_stop:
            own.told_to_stop = True
            self._actions.append(Stop(key, reason))

    def abandon_all(self, session_id: str) -> None:
        """Drop what runs in a session: it was forgotten, and nobody listens any more.

        One that was said afterwards starts again: the event has taken its start away.
        """
        for own in self._running.values():
            if own.key.session_id == session_id:
                own.told_to_stop = True
                self._actions.append(Abandon(own.key))

    def read_back(self, event: SessionEvent, fold: ShardFold) -> None:
        """Tell an attempt of ours whose start was read back with which text it goes on.

        The log says it: what the one before has written up to this start counts, and nothing else.
        """
        key = MessageKey(event.session_id, event.message_id)
        own, view = self._running.get(key), fold.view(key)
        if own is None or view is None or view.attempt != own.attempt or view.continues is None:
            return
        self._actions.append(GoOn(key, own.attempt, view.text, fold.repeated_bytes(key)))

    def heard(self, event: SessionEvent, outcome: Outcome) -> None:
        """Hold an event of the log against our attempt at the message: does it still count?"""
        own = self._running.get(MessageKey(event.session_id, event.message_id))
        if own is None:
            return
        is_ours = not isinstance(event, SessionForgotten) and event.attempt == own.attempt
        if isinstance(event, Status) and event.state == "cancelling":
            if is_ours and event.reason is not None:
                self.stop(own.key, known_stop(event.reason))
        elif _lost(own, event, outcome, is_ours=is_ours):
            own.told_to_stop = True
            self._actions.append(Abandon(own.key))

    def _landed(self, own: OwnAttempt) -> None:
        if own.start_in_flight:
            own.start_in_flight = False
            self._in_flight -= 1


def _lost(own: OwnAttempt, event: SessionEvent, outcome: Outcome, *, is_ours: bool) -> bool:
    """Say whether nobody listens to the attempt any more."""
    if isinstance(event, Status) and event.state == "generating":
        if is_ours:
            return not outcome.counts
        # A start of another that is lower than ours, which is still to come, changes nothing.
        higher = event.fence is not None and event.fence > own.fence
        return outcome is Outcome.STARTED and higher
    # Also by a terminal of our own attempt: if we seemed silent, the owner has ended it for us.
    return outcome is Outcome.ENDED
