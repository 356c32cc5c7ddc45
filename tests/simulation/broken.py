"""Rules taken out one at a time, to see that the simulation notices.

Those that a shell has to keep are asked for by name where the simulated shell keeps them
(`World.broken`). Those of the code under test are replaced here, for as long as the context lasts.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, NamedTuple
from unittest.mock import patch

from gateway.feed.resume import resume_position
from schemas import transcript
from schemas.events import Complete, Status
from tests.simulation import gateway as simulated_gateway
from workers.intake import ack_window, intake, judge, lanes, membership, own_attempts
from workers.intake.ack_window import Remembering
from workers.intake.actions import AttemptEnd, MessageKey
from workers.intake.decision import Silence, decide
from workers.intake.state import Lane, Shard, Step, Work

SHELL = {
    "start-in-flight-not-awaited": "a member rejoins while a start of its own is under way",
    "script-makes-the-key": "a write to a history that was flushed makes a new one of one message",
    "history-appended": "turns are put at the end of the history instead of merged",
    "failed-write-forgotten": "a message is acknowledged though its turns could not be stored",
    "no-look-up": "the persister takes every message that it has forgotten for a new one",
    "whole-without-the-log": "rows that are behind the log are stored as the whole history",
    "snapshot-without-ended": "a snapshot does not name the finished messages that it leaves out",
    "snapshot-without-what-ended-since": "what ended between the join and the snapshot is left out",
    "live-from-the-asked-end": "live goes on beyond the end of the fold in the snapshot",
    "not-sent-again": "a client does not send again what it is not sure of",
    "no-offset-guard": "a persister writes without looking whether the position is still its own",
}


def _no_fence(message: transcript.Message, event: Status) -> transcript.Outcome:
    message.fence = None
    return transcript._generating(message, event)


def _fence_without_starts(self: own_attempts.OwnAttempts, work: Work, *others: Any) -> None:
    sent, work.starts_sent = work.starts_sent, 0
    _BEGIN(self, work, *others)
    work.starts_sent = sent + 1


def _silent_by_the_clock_alone(fold: Any, key: Any, view: Any, *times: Any) -> Silence:
    silence = _SILENCE(fold, key, view, *times)
    return Silence.SILENT if silence is Silence.UNSURE else silence


def _busy_without_reading(facts: Any) -> Any:
    return decide(replace(facts, read_since_delivery=True))


def _ahead_while_in_the_lane(self: Lane, work: Work) -> int:
    return max(_AHEAD(self, work), len(list(self.before(work))))


def _interrupted_by_the_living_alone(
    self: lanes.Lanes, shard: Shard, lane: Lane, work: Work
) -> None:
    view = shard.fold.view(work.key) if shard.fold else None
    if view is None or not view.terminal:
        _INTERRUPT(self, shard, lane, work)


def _acknowledged_when_sent(
    self: intake.Intake,
    key: MessageKey,
    attempt: str,
    end: AttemptEnd,
    offset: int | None,
    now_s: float,
) -> None:
    _ANSWERED(self, key, attempt, end, offset, now_s)
    for shard in self._shards.values():
        work = shard.find(key)
        if work is not None and end is not AttemptEnd.ABANDONED:
            self._lanes.finish(work, over_elsewhere=True, remembering=Remembering.NEEDED)


def _done_at_once(self: ack_window.AckWindow, offset: int) -> Iterator[int]:
    slot = self._slots.pop(offset, None)
    if slot is not None:
        self._bytes -= slot.size_bytes
        yield offset


def _acknowledged_before_stored(self: judge.Judge, shard: Shard, work: Work, view: Any) -> None:
    _REMEMBER(self, shard, work, view)
    if work.step is Step.STORING:
        self._lanes.finish(work, over_elsewhere=False, remembering=Remembering.GIVEN_UP)


def _released_not_counted(message: transcript.Message, event: Status) -> transcript.Outcome:
    outcome = transcript._released(message, event)
    message.unended_starts += outcome is transcript.Outcome.RELEASED
    return outcome


def _ends_again(
    self: transcript.Transcript, event: Any, place: Any, first_sequence: int | None = None
) -> transcript.Outcome:
    message = self.messages.get(event.message_id)
    if message is not None and message.terminal and isinstance(event, Status | Complete):
        message.state = "generating"
    return _APPLY(self, event, place, first_sequence)


def _always_in_its_place(work: Any, view: Any) -> bool:
    return True


def _resume_one_later(cursor: str, *, epoch: int, shard: int, end: int) -> int | None:
    position = resume_position(cursor, epoch=epoch, shard=shard, end=end)
    return None if position is None else position + 1


_BEGIN = own_attempts.OwnAttempts.begin
_SILENCE = judge._silence
_AHEAD = Lane.ahead
_INTERRUPT = lanes.Lanes.interrupt_before
_REMEMBER = judge.Judge._remember
_ANSWERED = intake.Intake.answered
_APPLY = transcript.Transcript.apply


class Replaced(NamedTuple):
    """What happens without the rule, and which attribute of what becomes what."""

    story: str
    where: Any
    attribute: str
    by: Any


CODE: dict[str, Replaced] = {
    "no-fence": Replaced(
        "the last start in the log wins, whoever wrote it",
        transcript._STATUS,
        "generating",
        _no_fence,
    ),
    "fence-without-starts": Replaced(
        "a start that lands late wins over the one that took its place",
        own_attempts.OwnAttempts,
        "begin",
        _fence_without_starts,
    ),
    "silence-without-reading-to-end": Replaced(
        "an owner that slept restarts an answer whose events it has not read",
        judge,
        "_silence",
        _silent_by_the_clock_alone,
    ),
    "busy-without-reading": Replaced(
        "a message is refused for one whose end lies unread in the log",
        judge,
        "decide",
        _busy_without_reading,
    ),
    "busy-while-in-the-lane": Replaced(
        "a message is refused for one that only waits for its history",
        Lane,
        "ahead",
        _ahead_while_in_the_lane,
    ),
    "interrupted-by-the-living-alone": Replaced(
        "an interrupting message that was cancelled interrupts nothing any more",
        lanes.Lanes,
        "interrupt_before",
        _interrupted_by_the_living_alone,
    ),
    "interrupted-by-a-repetition": Replaced(
        "a message that is sent again interrupts what was said after it",
        lanes,
        "_stands_in_its_place",
        _always_in_its_place,
    ),
    "ack-early": Replaced(
        "a message is acknowledged when its end is written, not when it is read back",
        intake.Intake,
        "answered",
        _acknowledged_when_sent,
    ),
    "commit-past-a-gap": Replaced(
        "a record is acknowledged though one before it is not",
        ack_window.AckWindow,
        "done",
        _done_at_once,
    ),
    "acknowledged-before-stored": Replaced(
        "a message is acknowledged before its turns are stored",
        judge.Judge,
        "_remember",
        _acknowledged_before_stored,
    ),
    "released-not-counted": Replaced(
        "attempts that were given up count as crashes",
        transcript._STATUS,
        "released",
        _released_not_counted,
    ),
    "start-after-terminal": Replaced(
        "an answer that has ended begins again",
        transcript.Transcript,
        "apply",
        _ends_again,
    ),
    "cursor-off-by-one": Replaced(
        "a resume leaves out the record after the cursor",
        simulated_gateway,
        "resume_position",
        _resume_one_later,
    ),
    "fold-without-margin": Replaced(
        "a new owner reads the log from the first record on, and takes a repetition for new",
        membership,
        "FOLD_MARGIN_MS",
        0,
    ),
}

RULES = SHELL | {name: replaced.story for name, replaced in CODE.items()}


@contextmanager
def taken_out(names: frozenset[str]) -> Iterator[None]:
    """Take rules out while the context lasts."""
    unknown = names - RULES.keys()
    if unknown:
        raise ValueError(
            f"no such rule: {', '.join(sorted(unknown))}; there are {', '.join(RULES)}"
        )
    with ExitStack() as stack:
        for name in sorted(names & CODE.keys()):
            _, where, attribute, other = CODE[name]
            if isinstance(where, dict):
                stack.enter_context(patch.dict(where, {attribute: other}))
            else:
                stack.enter_context(patch.object(where, attribute, other))
        yield
