"""May a message that is ready start now? Five rules, asked in order; the first that fits decides.

A message that kills its process takes everything along that runs there, each time it is tried, and
nobody knows which one it was. Only a death in the first moments says anything: a start after which
nothing more was heard (`Care.SUSPECT`; after two such starts `Care.TWICE`). Most answers have
spoken within a second, so few are suspect. What had spoken (`Care.SPOKE`) died of somebody else,
and goes on where it was: another start costs it a pause and no word. So it waits for nobody but one
that has died twice.

* Suspects are tried, when what had spoken has spoken again: else that would die without a word,
  and be a suspect too. A trial ends when the suspect speaks, or has outlived its first moments.
  That had started last is tried first. Of many, an eighth is tried at a time, so that whatever
  their number the last one's turn comes soon; what dies so is tried alone from then on.
* While one is tried that has died twice, nothing else is mute in its process: it would die once
  more without a word for another's fault, and after the second time its text is not gone on with.
* Nothing else waits for all this longer than PATIENCE_S, however many suspects there are.

Not all is delivered at once, so a suspect steps back a little first. The rules:

1. As many run as may: nothing starts.
2. Nothing makes the message a suspect, and it has waited PATIENCE_S: it starts.
3. It is a suspect: it starts when its turn has come. The next turn comes when no trial is under
   way and nothing that had spoken is in its first moments, or the suspect has waited PATIENCE_S;
   for one that has died twice, when nothing else here is mute, or it has waited TWICE_PATIENCE_S.
4. One that has died twice is on trial or waits for its turn to begin: nothing else starts.
5. Otherwise it starts.

Pure.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from workers.intake.decision import Care
from workers.intake.state import Work

PATIENCE_S = 5.0
TWICE_PATIENCE_S = 20.0
SUSPECT_STEPS_BACK_S = 0.7
TRIAL_S = 2.0
"""Longer than a suspect had lived: who lives writes `alive` after 1.5 s."""
MUTE_S = 10.0
"""Who has not been heard of for so long after its start is waited for no more."""
TRIED_AT_ONCE = 8
"""One of so many suspects is tried at a time, the fraction rounded up."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What runs in this process, and what is still to come, while a message asks to start."""

    running: int
    on_trial: bool
    """A suspect runs that is mute and in its first moments."""
    twice_on_trial: bool
    spoke_mute: bool
    """Something runs that had spoken before, and is mute and in its first moments."""
    any_mute: bool
    """Anything runs of which nothing was heard since its start."""

    @classmethod
    def of_no_concern(cls, running: int) -> "Beside":
        """Give what runs where nothing is known against anybody."""
        return cls(
            running=running,
            on_trial=False,
            twice_on_trial=False,
            spoke_mute=False,
            any_mute=False,
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

    def __contains__(self, work: object) -> bool:
        return isinstance(work, Work) and work.token in self._order

    def __len__(self) -> int:
        return len(self._order)

    @property
    def careful(self) -> bool:
        """Whether something is known against any that is ready."""
        return bool(self._careful)

    def waited_s(self, now_s: float) -> float:
        """Give for how long the first in each queue has waited, the longer; 0 if none waits."""
        first = [next(iter(queue.values()), None) for queue in (self._fresh, self._careful)]
        return max((now_s - work.suspicion.ready_since_s for work in first if work), default=0.0)

    # -- who asks

    def ask(self, work: Work, now_s: float) -> None:
        """Take a message that could start; again and again is the same as once."""
        token = work.token
        if token not in self._order:
            self._asked += 1
            self._order[token] = self._asked
            self._untold[token] = work
            work.suspicion.ready_since_s = now_s
        fresh = work.suspicion.care is Care.FRESH
        queue, other = (self._fresh, self._careful) if fresh else (self._careful, self._fresh)
        other.pop(token, None)
        queue.setdefault(token, work)

    def leave(self, work: Work) -> None:
        """Let it go: it starts, or can't start any more."""
        for held in (self._order, self._fresh, self._careful, self._untold):
            held.pop(work.token, None)

    def clear(self) -> None:
        """Let all go."""
        for held in (self._order, self._fresh, self._careful, self._untold):
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
        patient_s = PATIENCE_S if beside.spoke_mute else SUSPECT_STEPS_BACK_S
        patient = [
            work
            for work in self._careful.values()
            if work.suspicion.care in (Care.SUSPECT, Care.TWICE)
            and now_s - work.suspicion.ready_since_s >= patient_s
        ]
        if not patient or beside.on_trial:
            return _Turn((), reserved=False)
        # Of each kind that has started last: it was the likeliest to have killed its process.
        patient.sort(key=lambda work: work.suspicion.mute_since_ms, reverse=True)
        oldest = min(patient, key=lambda work: self._order[work.token])
        if oldest.suspicion.care is Care.TWICE:
            tried = [work for work in patient if work.suspicion.care is Care.TWICE][:1]
            waited_s = now_s - oldest.suspicion.ready_since_s
            alone = not beside.any_mute or waited_s >= TWICE_PATIENCE_S
            return _Turn(tried if alone else (), reserved=True)
        once = [work for work in patient if work.suspicion.care is Care.SUSPECT]
        share = -(-len(once) // TRIED_AT_ONCE)
        return _Turn(once[:share], reserved=False)


def _judge(work: Work, beside: Beside, turn: _Turn, now_s: float, *, full: bool) -> Verdict:
    """Apply the rules to one ready message."""
    care = work.suspicion.care
    suspect = care in (Care.SUSPECT, Care.TWICE)
    if full:
        return Verdict(False, 1)
    if not suspect and now_s - work.suspicion.ready_since_s >= PATIENCE_S:
        return Verdict(True, 2)
    if suspect:
        return Verdict(any(work is tried for tried in turn.suspects), 3)
    if beside.twice_on_trial or turn.reserved:
        return Verdict(False, 4)
    return Verdict(True, 5)
