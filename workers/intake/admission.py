"""May a message that is ready start now? Eight rules, asked in order; the first that fits decides.

A message that kills its process takes everything along that runs there, each time it is tried, and
nobody knows which one it was. So that its neighbours lose one start to it and not two, what has an
unended start behind it steps back a little (not all is delivered at once), and waits:

* A *suspect* (`Care.MUTE`) died right after its start, before anything more was heard of it. Most
  answers have spoken within a second, so few are suspect. Suspects are tried one after another, the
  one first that had started last; a trial ends when it speaks or has outlived its first moments.
* What *had spoken* (`Care.SPOKE`) begins when nothing suspect is left: neither ready, nor on trial,
  nor mute at another process, nor perhaps in a shard that is still to be folded.
* A message with two unended starts (`Care.ALONE`) begins when nothing else runs.

Every wait has a limit. The rules:

1. An answer runs that must be alone: nothing starts.
2. One must be alone, and nothing runs: it starts, of several the one that waits longest. Nothing
   else starts. While others run, what must be alone waits.
3. One that must be alone has waited ALONE_PATIENCE_S: nothing else starts, so that its turn comes.
4. As many run as may: nothing starts.
5. Nothing is known against the message: it starts.
6. It is the suspect whose turn it is: no trial is under way, nothing runs that had spoken, and it
   has stepped back for SUSPECT_STEPS_BACK_S: it starts.
7. It had spoken, nothing suspect is left, and it has stepped back for SPOKE_STEPS_BACK_S: it
   starts.
8. Its patience (SUSPECT_PATIENCE_S, SPOKE_PATIENCE_S) has ended: it starts. Until then it waits.

Pure.
"""

from dataclasses import dataclass
from itertools import islice

from workers.intake.decision import Care
from workers.intake.state import Work

ALONE_PATIENCE_S = 10.0
SUSPECT_STEPS_BACK_S = 0.7
SUSPECT_PATIENCE_S = 10.0
SPOKE_STEPS_BACK_S = 1.0
SPOKE_PATIENCE_S = 8.0
TRIAL_S = 2.0
"""Longer than a suspect had lived: who lives writes `alive` after 1.5 s."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What runs in this process, and what is still to come, while a message asks to start."""

    running: int
    alone_runs: bool
    spoke_runs: bool
    on_trial: bool
    """A suspect runs that is mute and in its first moments."""
    folding: bool
    """A shard of ours waits for its fold: there may be suspects in it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the message starts now; `rule` is the number of the rule that decided."""

    starts: bool
    rule: int


@dataclass(frozen=True, slots=True)
class _Turn:
    """Whose turn it is among the messages that something is known against."""

    alone: Work | None
    suspect: Work | None
    suspicious: bool
    """A suspect is ready, or may still come."""


class Admission:
    """The messages that are ready to start, at most `max_running` of which run."""

    def __init__(self, max_running: int) -> None:
        self._max_running = max_running
        self._order: dict[int, int] = {}  # token -> in which order they became ready
        self._asked = 0
        self._fresh: dict[int, Work] = {}
        self._careful: dict[int, Work] = {}
        self._untold: dict[int, Work] = {}
        self._expected: dict[int, Work] = {}

    def __contains__(self, work: object) -> bool:
        return isinstance(work, Work) and work.token in self._order

    def __bool__(self) -> bool:
        return bool(self._order)

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
        """Give what starts now, in the order in which it became ready."""
        room = max(0, self._max_running - beside.running)
        turn = self._turn()
        candidates = [*self._careful.values(), *islice(self._fresh.values(), room)]
        candidates.sort(key=lambda work: self._order[work.token])
        starting: list[Work] = []
        for work in candidates:
            full = len(starting) >= room
            if judge(work, beside, turn, now_s, full=full).starts:
                starting.append(work)
        return starting

    def verdict(self, work: Work, beside: Beside, now_s: float) -> Verdict:
        """Say whether one ready message would start now, if no other did, and by which rule."""
        full = beside.running >= self._max_running
        return judge(work, beside, self._turn(), now_s, full=full)

    def _turn(self) -> _Turn:
        careful = self._careful.values()
        suspects = [work for work in careful if work.suspicion.care is Care.MUTE]
        return _Turn(
            alone=next((work for work in careful if work.suspicion.care is Care.ALONE), None),
            suspect=max(suspects, key=lambda work: work.suspicion.mute_since_ms, default=None),
            suspicious=bool(suspects or self._expected),
        )


def judge(work: Work, beside: Beside, turn: _Turn, now_s: float, *, full: bool) -> Verdict:
    """Apply the rules to one ready message."""
    care = work.suspicion.care
    waited_s = now_s - work.suspicion.ready_since_s
    if beside.alone_runs:
        return Verdict(False, 1)
    if turn.alone is not None and not beside.running:
        return Verdict(work is turn.alone, 2)
    if care is Care.ALONE:
        return Verdict(False, 2)
    if turn.alone is not None:
        alone_waited_s = now_s - turn.alone.suspicion.ready_since_s
        if alone_waited_s >= ALONE_PATIENCE_S:
            return Verdict(False, 3)
    if full:
        return Verdict(False, 4)
    if care is Care.FRESH:
        return Verdict(True, 5)
    if care is Care.MUTE:
        in_turn = work is turn.suspect and not beside.on_trial and not beside.spoke_runs
        if in_turn and waited_s >= SUSPECT_STEPS_BACK_S:
            return Verdict(True, 6)
        return Verdict(waited_s >= SUSPECT_PATIENCE_S, 8)
    nothing_suspect = not (beside.on_trial or turn.suspicious or beside.folding)
    if nothing_suspect and waited_s >= SPOKE_STEPS_BACK_S:
        return Verdict(True, 7)
    return Verdict(waited_s >= SPOKE_PATIENCE_S, 8)
