"""What is to be done about one message that has no terminal yet: one decision, from plain facts.

The facts are what the shard's fold says and what this process has under way; the order of the
questions is the rule. The same facts give the same decision, so the intake asks again whenever
something has changed, and nothing has to be remembered but the facts.
"""

from dataclasses import dataclass
from enum import Enum, auto

from schemas.events import FinishReason, OnBusy, StopReason
from schemas.limits import MUTE_DEATHS_MAX, UNENDED_STARTS_MAX
from schemas.transcript import Message
from workers.intake.actions import Cancelling, EndedEarly, Failed, OwnerEvent

QUEUE_MAX_MESSAGES = 5
"""So many messages of a session may wait; one more ends as `busy`."""


class Silence(Enum):
    """What is known of an attempt that no task of this process runs."""

    HEARD = auto()  # its events keep coming, or its time has not run out
    UNSURE = auto()  # its time has run out, but the shard was not read to its end since
    SILENT = auto()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision rests on. `ahead`: messages before it in its session without a terminal."""

    view: Message | None
    runs_here: bool
    silence: Silence
    stop: StopReason | None
    ahead: int
    on_busy: OnBusy
    read_since_delivery: bool  # the shard was read to its end after the message was delivered
    looked_up: bool
    mute_deaths: int  # starts after which nothing more was heard of the attempt
    dead_lettered: bool
    resting: bool  # the time before the next try has not passed
    outranked: bool  # a start of ours would have a lower fence than the one that counts


class Do(Enum):
    """Decisions that carry nothing."""

    WAIT = auto()
    WATCH = auto()  # wait, and judge again as time passes
    LOOK_UP = auto()
    READ_TO_END = auto()
    SAY_QUEUED = auto()
    STOP = auto()
    DEAD_LETTER = auto()
    OUTRANKED = auto()  # a start would be ignored: say so, and don't ask the model


class Care(Enum):
    """What is known against a message that starts; `intake.admission` says beside whom it may."""

    FRESH = auto()  # no start of it was left unended
    SPOKE = auto()  # some were, and had been heard of since: its processes died of something else
    SUSPECT = auto()  # nothing came after one of them: perhaps the message kills its process
    TWICE = auto()  # nothing came after two of them


@dataclass(frozen=True, slots=True)
class Run:
    """Start it."""

    care: Care


Decision = Do | Run | OwnerEvent


def decide(facts: Facts) -> Decision:
    """Judge a message without a terminal, in a shard that is folded."""
    view = facts.view
    if facts.runs_here:
        return Do.STOP if facts.stop else Do.WAIT
    if view is not None and view.state == "generating" and facts.silence is not Silence.SILENT:
        return _wait_for_runner(facts, view)
    # From here on nobody runs it.
    if facts.stop == "cancel" or (facts.stop == "interrupt" and facts.ahead == 0):
        return _ended_early(facts.stop, view)
    if facts.stop is not None:
        return Do.WAIT
    if view is None and not facts.looked_up:
        return Do.LOOK_UP
    if view is None and _over_the_bound(facts):
        return _busy(facts) if facts.read_since_delivery else Do.READ_TO_END
    if facts.ahead:
        return Do.SAY_QUEUED if view is None else Do.WAIT
    if facts.outranked:
        return Do.OUTRANKED
    if facts.resting:
        return Do.WATCH
    return _run(facts, view)


def known_stop(told: str) -> StopReason:
    """Whatever else a later version may stop an answer for, here it is stopped as by a person."""
    return "interrupt" if told == "interrupt" else "cancel"


def known_on_busy(told: str) -> OnBusy:
    """What a later version may ask for and is not known here waits in line, as by default."""
    known: dict[str, OnBusy] = {"reject": "reject", "interrupt": "interrupt"}
    return known.get(told, "enqueue")


def _wait_for_runner(facts: Facts, view: Message) -> Decision:
    # Waiting is not running: it counts neither as an answer here nor as a start.
    if facts.stop and view.cancelling is None and view.attempt is not None:
        return Cancelling(view.attempt, facts.stop)
    return Do.READ_TO_END if facts.silence is Silence.UNSURE else Do.WATCH


def _ended_early(reason: StopReason, view: Message | None) -> EndedEarly:
    finish: FinishReason = "cancelled" if reason == "cancel" else "interrupted"
    if view is None:
        return EndedEarly(finish, None, 0)
    # An attempt that was released or fell silent: only a terminal with its id counts.
    return EndedEarly(finish, view.attempt, view.last_sequence)


def _over_the_bound(facts: Facts) -> bool:
    if facts.on_busy == "reject":
        return facts.ahead > 0
    return facts.on_busy == "enqueue" and facts.ahead > QUEUE_MAX_MESSAGES


def _busy(facts: Facts) -> Failed:
    if facts.on_busy == "reject":
        text = "an answer of this session is under way"
    else:
        text = f"{QUEUE_MAX_MESSAGES} messages of this session wait already"
    return Failed("busy", text, retryable=True, attempt=None, last_sequence=0)


def _run(facts: Facts, view: Message | None) -> Decision:
    unended = view.unended_starts if view else 0
    if view is None or not unended:
        return Run(Care.FRESH)
    if facts.mute_deaths >= MUTE_DEATHS_MAX or unended >= UNENDED_STARTS_MAX:
        return _give_up(facts, view)
    if facts.mute_deaths == 0:
        return Run(Care.SPOKE)
    return Run(Care.SUSPECT if facts.mute_deaths == 1 else Care.TWICE)


def _give_up(facts: Facts, view: Message) -> Decision:
    if not facts.dead_lettered:
        return Do.DEAD_LETTER
    return Failed(
        "retries_exhausted",
        f"{view.unended_starts} attempts at this answer ended without a result",
        retryable=False,
        attempt=view.attempt,
        last_sequence=view.last_sequence,
    )
