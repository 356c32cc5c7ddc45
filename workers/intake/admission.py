"""May a message that is ready start now? Seven rules, asked in order; the first that fits decides.

A message that kills its process takes everything along that runs there, each time it is tried, and
nobody knows which one it was. Only a death in the first moments says anything: a start after which
nothing more was heard (`Care.SUSPECT`; after two such starts `Care.TWICE`). Most answers have
spoken within a second, so few are suspect. What had spoken (`Care.SPOKE`) died of somebody else.

* Suspects are tried: a trial ends when the suspect speaks, or has outlived its first moments. That
  had started last is tried first. Of many, an eighth is tried at a time, so that whatever their
  number the last one's turn comes soon; what dies in such a trial is tried alone from then on.
* While one is tried that has died twice, nothing else begins its first moments: it would become
  suspect too, and die a third time for another's fault.
* What had spoken begins after the suspects, so that it does not lose another start to them.
* Fresh messages wait for all this FRESH_PATIENCE_S at most, however many suspects there are.

Not all is delivered at once, so what has an unended start behind it steps back a little first. The
rules:

1. As many run as may: nothing starts.
2. The message has waited for its patience (FRESH_PATIENCE_S, SPOKE_PATIENCE_S): it starts.
3. It is a suspect: it starts when its turn has come. The next turn comes when no trial is under
   way and either nothing runs that had spoken or the suspect has waited SUSPECT_PATIENCE_S; for
   one that has died twice, when nothing else is in its first moments either.
4. One that has died twice is on trial or waits for its turn to begin: nothing else starts.
5. Nothing is known against the message: it starts.
6. It had spoken, nothing suspect is left (neither ready, nor on trial, nor mute at another process,
   nor perhaps in a shard that is still to be folded), and it has stepped back: it starts.
7. Otherwise it waits.

Pure.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from workers.intake.decision import Care
from workers.intake.state import Work

FRESH_PATIENCE_S = 5.0
SPOKE_STEPS_BACK_S = 1.0
SPOKE_PATIENCE_S = 8.0
SUSPECT_STEPS_BACK_S = 0.7
SUSPECT_PATIENCE_S = 10.0
TRIAL_S = 2.0
"""Longer than a suspect had lived: who lives writes `alive` after 1.5 s."""
TRIED_AT_ONCE = 8
"""One of so many suspects is tried at a time, the fraction rounded up."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What runs in this process, and what is still to come, while a message asks to start."""

    running: int
    spoke_runs: bool
    on_trial: bool
    """A suspect runs that is mute and in its first moments."""
    twice_on_trial: bool
    any_mute: bool
    """Anything runs that is mute and in its first moments."""
    folding: bool
    """A shard of ours waits for its fold: there may be suspects in it."""

    @classmethod
    def of_no_concern(cls, running: int) -> "Beside":
        """Give what runs where nothing is known against anybody."""
        return cls(
            running=running,
            spoke_runs=False,
            on_trial=False,
            twice_on_trial=False,
            any_mute=False,
            folding=False,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the message starts now; `rule` is the number of the rule that decided."""

    starts: bool
    rule: int


@dataclass(frozen=True, slots=True)
class _Turn:
    """Whose turn it is among the suspects."""

    suspects: Sequence[Work]
    """Those whose trial begins now."""
    reserved: bool
    """One that has died twice is next: nothing else may begin its first moments."""
    any_left: bool
    """A suspect is ready, or may still come."""


class Admission:
    """The messages that are ready to start, at most `max_running` of which run."""

    def __init__(self, max_running: int) -> None:
        self._max_running = max_running
        self._order: dict[int, int] = {}  # token -> in which order they became ready
        self._asked = 0
        # Taken from its front all the time; a plain dict would look at all that was there once.
        self._fresh: OrderedDict[int, Work] = OrderedDict()
        self._careful: dict[int, Work] = {}
        self._untold: dict[int, Work] = {}
        self._expected: dict[int, Work] = {}

    def __contains__(self, work: object) -> bool:
        return isinstance(work, Work) and work.token in self._order

    def __bool__(self) -> bool:
        return bool(self._order)

    @property
    def careful(self) -> bool:
        """Whether something is known against any that is ready."""
        return bool(self._careful)

    # -- who asks

    def ask(self, work: Work, now_s: float) -> None:
        """Take a message that could start; again and again is the same as once."""
        token = work.token
        self._expected.pop(token, None)
        if token not in self._order:
            self._asked += 1
            self._order[token] = self._asked
            self._untold[token] = work
            work.suspicion.ready_since_s = now_s
        fresh = work.suspicion.care is Care.FRESH
        queue, other = (self._fresh, self._careful) if fresh else (self._careful, self._fresh)
        other.pop(token, None)
        queue.setdefault(token, work)

    def expect(self, work: Work) -> None:
        """Note that it runs elsewhere and was not heard of yet: it may come as a suspect."""
        self._expected[work.token] = work

    def leave(self, work: Work) -> None:
        """Let it go: it starts, or can't start any more."""
        for held in (self._order, self._fresh, self._careful, self._untold, self._expected):
            held.pop(work.token, None)

    def clear(self) -> None:
        """Let all go."""
        for held in (self._order, self._fresh, self._careful, self._untold, self._expected):
            held.clear()

    def take_untold(self) -> list[Work]:
        """Give, once each, the messages for which there was no room."""
        untold, self._untold = list(self._untold.values()), {}
        return untold

    # -- who starts

    def next(self, beside: Beside, now_s: float) -> list[Work]:
        """Give what starts now, in the order in which it became ready.

        What can't start is not looked at, so that a long queue costs no more than a short one.
        """
        room = self._max_running - beside.running
        if room <= 0:
            return []
        turn = self._turn(beside, now_s)
        candidates = [*self._careful.values(), *islice(self._fresh.values(), room)]
        candidates.sort(key=lambda work: self._order[work.token])
        starting: list[Work] = []
        for work in candidates:
            full = len(starting) >= room
            if _judge(work, beside, turn, now_s, full=full).starts:
                starting.append(work)
        return starting

    def verdict(self, work: Work, beside: Beside, now_s: float) -> Verdict:
        """Say whether one ready message would start now, if no other did, and by which rule."""
        full = beside.running >= self._max_running
        return _judge(work, beside, self._turn(beside, now_s), now_s, full=full)

    def _turn(self, beside: Beside, now_s: float) -> _Turn:
        suspects = [
            work
            for work in self._careful.values()
            if work.suspicion.care in (Care.SUSPECT, Care.TWICE)
        ]
        left = bool(suspects or self._expected)
        patient = [work for work in suspects if _may_be_tried(work, beside, now_s)]
        if not patient or beside.on_trial:
            return _Turn((), reserved=False, any_left=left)
        # Of each kind that has started last: it was the likeliest to have killed its process.
        patient.sort(key=lambda work: work.suspicion.mute_since_ms, reverse=True)
        oldest = min(patient, key=lambda work: self._order[work.token])
        if oldest.suspicion.care is Care.TWICE:
            tried = [work for work in patient if work.suspicion.care is Care.TWICE][:1]
            return _Turn(() if beside.any_mute else tried, reserved=True, any_left=left)
        once = [work for work in patient if work.suspicion.care is Care.SUSPECT]
        share = -(-len(once) // TRIED_AT_ONCE)
        return _Turn(once[:share], reserved=False, any_left=left)


def _may_be_tried(work: Work, beside: Beside, now_s: float) -> bool:
    waited_s = now_s - work.suspicion.ready_since_s
    if waited_s >= SUSPECT_PATIENCE_S:
        return True
    return waited_s >= SUSPECT_STEPS_BACK_S and not beside.spoke_runs


def _judge(work: Work, beside: Beside, turn: _Turn, now_s: float, *, full: bool) -> Verdict:
    """Apply the rules to one ready message."""
    care = work.suspicion.care
    waited_s = now_s - work.suspicion.ready_since_s
    if full:
        return Verdict(False, 1)
    if care is Care.FRESH and waited_s >= FRESH_PATIENCE_S:
        return Verdict(True, 2)
    if care is Care.SPOKE and waited_s >= SPOKE_PATIENCE_S:
        return Verdict(True, 2)
    if care in (Care.SUSPECT, Care.TWICE):
        return Verdict(any(work is tried for tried in turn.suspects), 3)
    if beside.twice_on_trial or turn.reserved:
        return Verdict(False, 4)
    if care is Care.FRESH:
        return Verdict(True, 5)
    nothing_suspect = not (beside.on_trial or turn.any_left or beside.folding)
    if nothing_suspect and waited_s >= SPOKE_STEPS_BACK_S:
        return Verdict(True, 6)
    return Verdict(False, 7)
