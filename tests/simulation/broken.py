"""Rules taken out one at a time, to see that the simulation notices.

Those that a shell has to keep are asked for by name where the simulated shell keeps them
(`World.broken`). Those of the code under test are replaced here, for as long as the context lasts.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from gateway.feed.resume import resume_position
from schemas import transcript
from schemas.events import Complete, Status
from tests.simulation import gateway as simulated_gateway
from workers.intake import ack_window, intake, lanes
from workers.intake.actions import Outcome
from workers.intake.decision import Silence, decide

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


def _fence_without_starts(self: lanes.Lanes, work: Any, now: float) -> None:
    sent, work.starts_sent = work.starts_sent, 0
    _START(self, work, now)
    work.starts_sent = sent + 1


def _silent_by_the_clock_alone(
    self: lanes.Lanes, fold: Any, key: Any, view: Any, now: float
) -> Silence:
    silence = _SILENCE(self, fold, key, view, now)
    return Silence.SILENT if silence is Silence.UNSURE else silence


def _busy_without_reading(facts: Any) -> Any:
    return decide(replace(facts, read_since_delivery=True))


def _busy_while_in_the_lane(
    self: lanes.Lanes, shard: Any, fold: Any, work: Any, view: Any, ahead: int, now: float
) -> None:
    _JUDGE(self, shard, fold, work, view, max(ahead, _before(shard, work)), now)


def _before(shard: Any, work: Any) -> int:
    return list(shard.lanes[work.message.session_id].values()).index(work)


def _interrupted_by_the_living_alone(self: lanes.Lanes, fold: Any, lane: dict[str, Any]) -> None:
    living = {
        message_id: work
        for message_id, work in lane.items()
        if (view := fold.view(work.key)) is None or not view.terminal
    }
    _INTERRUPT(self, fold, living)


def _acknowledged_when_sent(
    self: intake.Intake, key: Any, attempt: str, outcome: Outcome, offset: int | None, now: float
) -> None:
    mine = self._lanes.mine.get(key)
    _ANSWERED(self, key, attempt, outcome, offset, now)
    shard = self._shards.get(mine.shard) if mine else None
    work = shard and shard.lanes.get(key.session_id, {}).get(key.message_id)
    if shard is not None and work and outcome is not Outcome.ABANDONED:
        self._lanes.finish(shard, work)


def _done_at_once(self: ack_window.Window, offset: int) -> Iterator[int]:
    slot = self._slots.pop(offset, None)
    if slot is not None:
        self._bytes -= slot.size_bytes
        yield offset


def _acknowledged_before_stored(self: lanes.Lanes, shard: Any, work: Any, view: Any) -> None:
    _END(self, shard, work, view)
    if work.storing:
        self.finish(shard, work)


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


def _fold_from_the_record(self: intake.Intake, delivery: Any, now: float) -> None:
    with patch.object(intake, "ASSIGNMENT_FOLD_MARGIN_S", 0.0):
        _DELIVERED(self, delivery, now)


def _resume_one_later(cursor: str, *, epoch: int, shard: int, end: int) -> int | None:
    position = resume_position(cursor, epoch=epoch, shard=shard, end=end)
    return None if position is None else position + 1


_START = lanes.Lanes._start
_SILENCE = lanes.Lanes._silence
_JUDGE = lanes.Lanes._judge
_INTERRUPT = lanes.Lanes._interrupt
_END = lanes.Lanes._end
_ANSWERED = intake.Intake.answered
_DELIVERED = intake.Intake.delivered
_APPLY = transcript.Transcript.apply

Replaced = tuple[Any, str, Callable[..., Any]]
CODE: dict[str, tuple[str, Replaced]] = {
    "no-fence": (
        "the last start in the log wins, whoever wrote it",
        (transcript._STATUS, "generating", _no_fence),
    ),
    "fence-without-starts": (
        "a start that lands late wins over the one that took its place",
        (lanes.Lanes, "_start", _fence_without_starts),
    ),
    "silence-without-reading-to-end": (
        "an owner that slept restarts an answer whose events it has not read",
        (lanes.Lanes, "_silence", _silent_by_the_clock_alone),
    ),
    "busy-without-reading": (
        "a message is refused for one whose end lies unread in the log",
        (lanes, "decide", _busy_without_reading),
    ),
    "busy-while-in-the-lane": (
        "a message is refused for one that only waits for its history",
        (lanes.Lanes, "_judge", _busy_while_in_the_lane),
    ),
    "interrupted-by-the-living-alone": (
        "an interrupting message that was cancelled interrupts nothing any more",
        (lanes.Lanes, "_interrupt", _interrupted_by_the_living_alone),
    ),
    "interrupted-by-a-repetition": (
        "a message that is sent again interrupts what was said after it",
        (lanes, "_stands_in_its_place", _always_in_its_place),
    ),
    "ack-early": (
        "a message is acknowledged when its end is written, not when it is read back",
        (intake.Intake, "answered", _acknowledged_when_sent),
    ),
    "commit-past-a-gap": (
        "a record is acknowledged though one before it is not",
        (ack_window.Window, "done", _done_at_once),
    ),
    "acknowledged-before-stored": (
        "a message is acknowledged before its turns are stored",
        (lanes.Lanes, "_end", _acknowledged_before_stored),
    ),
    "released-not-counted": (
        "attempts that were given up count as crashes",
        (transcript._STATUS, "released", _released_not_counted),
    ),
    "start-after-terminal": (
        "an answer that has ended begins again",
        (transcript.Transcript, "apply", _ends_again),
    ),
    "cursor-off-by-one": (
        "a resume leaves out the record after the cursor",
        (simulated_gateway, "resume_position", _resume_one_later),
    ),
    "fold-without-margin": (
        "a new owner reads the log from the first record on, and takes a repetition for new",
        (intake.Intake, "delivered", _fold_from_the_record),
    ),
}

RULES = SHELL | {name: what for name, (what, _) in CODE.items()}


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
            where, attribute, other = CODE[name][1]
            if isinstance(where, dict):
                stack.enter_context(patch.dict(where, {attribute: other}))
            else:
                stack.enter_context(patch.object(where, attribute, other))
        yield
