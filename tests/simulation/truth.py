"""What is true by construction, and the rules that are watched while everything runs.

Tokens name their message, attempt and number; so a text can be judged without folding anything. The
little that has to be followed in log order (which attempt is the current one) is told here once
more, in the fewest words, apart from the code under test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from schemas.events import (
    Cancel,
    Chunk,
    Complete,
    Error,
    ReasoningChunk,
    Status,
    Terminal,
    UserMessage,
    decode_session_event,
    decode_user_event,
)
from schemas.shard_log import Record
from schemas.transcript import Fence
from tests.simulation.log import Log
from tests.simulation.world import RuleBroken, World
from workers.history.prompt import Turn, estimate_tokens
from workers.intake.continuing import MUTE_DEATHS_ANEW

RECENT = 8
"""So many of the last messages may be cancelled or said again; the log holds them."""


def token(message_id: str, attempt: str, number: int) -> str:
    return f"[{message_id} {attempt} {number}]"


def name_of(text: str) -> str:
    """After which attempt the tokens of a text are named: the one that began it."""
    return text.split()[1] if text else ""


def whole_text(message_id: str, text: str) -> str:
    """What a text with so many tokens says, if it is of one beginning."""
    name = name_of(text)
    return "".join(token(message_id, name, n + 1) for n in range(text.count("[")))


@dataclass(frozen=True)
class Plan:
    """What the model will do with a message, if nobody stops it."""

    tokens: int
    token_every_s: float
    ends: str = (
        "stop"  # or "error" (after the last token), "never" (the last token is followed by silence)
    )
    kills: bool = False  # whoever asks the model dies of it


@dataclass
class Attempt:
    """One try, as its runner knows it."""

    message_id: str
    worker: str
    told: int = 0  # tokens that the model gave
    finished_with: int | None = None  # tokens sent when it wrote its terminal
    excuse: str | None = None  # what happened to it, so that another attempt is right


@dataclass
class Told:
    """One message."""

    message_id: str
    session_id: str
    on_busy: str
    plan: Plan
    content: str
    shard: int = 0
    offset: int | None = None  # of its first record in user_messages
    last_offset: int | None = None  # of its last one: it may have been said again
    open_before: int = 0  # how many messages of its session had not ended then
    accepted: bool = False
    cancelled: bool = False
    interrupted: bool = False
    attempt: str | None = None
    fence: Fence | None = None
    released: bool = False
    starts: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    thoughts: int = 0
    sequence: int = 0
    continues: bool = False
    mute: bool = False  # no word of its own, and no sign of life, since the last start
    mute_deaths: int = 0
    begun_anew: int = 0  # how often a text was given up
    terminal: Terminal | None = None
    ended_at: int | None = None
    ended_when: float | None = None
    first_event: int | None = None  # offset of its first event in the session log
    trimmed: bool = False  # that log does not hold its end any more

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Truth:
    """Sees every record as it lands."""

    def __init__(self, world: World, budget_tokens: int) -> None:
        self.world = world
        self.budget_tokens = budget_tokens
        self.messages: dict[str, Told] = {}
        self.attempts: dict[str, Attempt] = {}
        self.sessions: dict[str, list[Told]] = {}  # in the order of user_messages
        self._committed: dict[int, int] = {}
        self._users: dict[int, list[Told | None]] = {}  # by offset
        self.model_calls = 0
        self.on_ended: Callable[[Told], None] = lambda told: None
        self._of_earlier_epochs = 0

    # -- what happens

    def of_this_epoch(self) -> list[Told]:
        return list(self.messages.values())[self._of_earlier_epochs :]

    def topics_made_anew(self) -> None:
        """All that was said has ended, and stands in the rows alone."""
        self._of_earlier_epochs = len(self.messages)
        self._committed.clear()
        self._users.clear()
        for told in self.messages.values():
            told.trimmed = True

    def planned(self, told: Told) -> None:
        self.messages[told.message_id] = told

    def excuse(self, worker: str, why: str) -> None:
        """Every unfinished attempt of this worker may be replaced."""
        for attempt in self.attempts.values():
            if attempt.worker == worker and self.messages[attempt.message_id].terminal is None:
                attempt.excuse = attempt.excuse or why

    def excuse_all(self, why: str) -> None:
        for worker in {attempt.worker for attempt in self.attempts.values()}:
            self.excuse(worker, why)

    def user_record(self, log: Log, record: Record) -> None:
        event = decode_user_event(record.value)
        users = self._users.setdefault(log.shard, [])
        if isinstance(event, UserMessage):
            told = self.messages[event.message_id]
            users.append(told)
            told.last_offset = record.offset
            self.world.say(
                "log", f"user_messages/{log.shard}@{record.offset}", event.message_id, event.on_busy
            )
            if told.offset is None:
                self._first_record(told, log, record)
        else:
            users.append(None)
            if isinstance(event, Cancel):
                told = self.messages[event.message_id]
                told.cancelled = True
                self.world.say(
                    "log", f"user_messages/{log.shard}@{record.offset}", "cancel", told.message_id
                )

    def _first_record(self, told: Told, log: Log, record: Record) -> None:
        session = self.sessions.setdefault(told.session_id, [])
        told.shard, told.offset = log.shard, record.offset
        told.open_before = sum(other.terminal is None for other in session)
        if told.on_busy == "interrupt":
            for other in session:
                other.interrupted = True
        session.append(told)

    def session_record(self, log: Log, record: Record) -> None:
        event = decode_session_event(record.value)
        assert event is not None
        where = f"session log/{log.shard}@{record.offset}"
        told = self.messages[event.message_id]
        if told.first_event is None:
            told.first_event = record.offset
        if isinstance(event, Chunk):
            counts = self._chunk(told, event)
            self.world.say("log", where, event.message_id, event.attempt, f"chunk {event.sequence}")
        elif isinstance(event, ReasoningChunk):
            counts = self._thought(told, event)
            what = f"reasoning {event.sequence}"
            self.world.say("log", where, event.message_id, event.attempt, what)
        elif isinstance(event, Status):
            counts = self._status(told, event)
            fence = event.fence or ""
            self.world.say("log", where, event.message_id, event.attempt, event.state, fence)
        elif isinstance(event, Complete | Error):
            counts = self._terminal(told, event, record.offset)
            what = event.finish_reason if isinstance(event, Complete) else event.code
            self.world.say("log", where, event.message_id, event.attempt, what)
        if not counts:
            self.world.say("log", where, "does not count")

    def committed(self, shard: int, offset: int) -> None:
        """Nothing unfinished may lie below a committed offset."""
        for told in self._users.get(shard, [])[self._committed.get(shard, 0) : offset]:
            if told is not None and told.terminal is None:
                self.broken(
                    f"committed {shard}@{offset} past {told.message_id}, which has not ended"
                )
        self._committed[shard] = max(self._committed.get(shard, 0), offset)

    def prompted(self, told: Told, attempt: str, turns: Sequence[Turn], *, full: bool) -> None:
        """The prompt holds every message of the session that has ended with text, in order."""
        if told.terminal is not None or told.attempt != attempt:
            return  # nobody listens to this attempt
        others = [t for t in self.sessions[told.session_id] if t.terminal and t is not told]
        ended = sorted(
            (t for t in others if t.text), key=lambda t: (t.ended_when or 0, t.ended_at or 0)
        )
        wanted = [text for t in ended for text in (t.content, t.text)]
        have = [turn.content for turn in turns if turn.message_id != told.message_id]
        self.world.say("prompt", told.message_id, [turn.message_id for turn in turns][::2], full)
        if not full:
            rest = iter(wanted)
            if not all(text in rest for text in have):
                self.broken(f"{told.message_id} is told {have} after {wanted}")
            return
        if have != wanted[len(wanted) - len(have) :]:
            self.broken(f"{told.message_id} is told {have} after {wanted}")
        if len(have) < len(wanted) and sum(map(estimate_tokens, have)) < self.budget_tokens:
            self.broken(f"{told.message_id} is told only {have} of {wanted}")

    def broken(self, what: str) -> None:
        raise RuleBroken(what)

    # -- the order of the log

    def _status(self, told: Told, event: Status) -> bool:
        if told.terminal is not None:
            return False
        if event.state == "generating":
            return self._start(told, event)
        if event.state == "released":
            if event.attempt != told.attempt or told.released:
                return False
            told.released = True
        told.mute = told.mute and event.attempt != told.attempt
        return event.state == "queued" or event.attempt == told.attempt

    def _start(self, told: Told, event: Status) -> bool:
        fence, attempt = event.fence, event.attempt
        assert fence is not None
        assert attempt is not None
        self._in_order(told)
        if told.fence is not None and fence < told.fence:
            return False
        before = self.attempts.get(told.attempt or "")
        if before is not None and before.excuse is None:
            self.broken(f"{told.message_id} began again though {told.attempt} was well")
        told.attempt, told.fence, told.released = attempt, fence, False
        told.thoughts = 0
        told.mute_deaths += told.mute
        told.sequence, told.mute, told.continues = 0, True, event.continues is not None
        if told.text and not told.continues:
            if told.mute_deaths < MUTE_DEATHS_ANEW:
                self.broken(f"{told.message_id} begins anew after {told.text!r}")
            told.begun_anew += 1
        if not told.continues:
            told.pieces.clear()
        told.starts.append(attempt)
        return True

    def _in_order(self, told: Told) -> None:
        for other in self.sessions[told.session_id]:
            if other is told:
                return
            if other.terminal is None:
                self.broken(f"{told.message_id} began before {other.message_id} had ended")

    def _chunk(self, told: Told, event: Chunk) -> bool:
        if told.terminal is not None or told.released or event.attempt != told.attempt:
            return False
        if event.sequence != told.sequence + 1:
            self.broken(f"{told.message_id}: sequence {event.sequence} after {told.sequence}")
        told.sequence += 1
        if told.sequence == 1 and told.text:
            if event.content != told.text:
                self.broken(f"{told.message_id} goes on with {event.content!r}, not {told.text!r}")
            told.pieces = [event.content]
            return True
        told.mute = False
        told.pieces.append(event.content)
        return True

    def _thought(self, told: Told, event: ReasoningChunk) -> bool:
        if told.terminal is not None or told.released or event.attempt != told.attempt:
            return False
        told.thoughts, told.mute = told.thoughts + 1, False
        if event.sequence != told.thoughts:
            self.broken(f"{told.message_id}: reasoning {event.sequence}, not {told.thoughts}")
        return True

    def _terminal(self, told: Told, event: Terminal, offset: int) -> bool:
        if told.terminal is not None or event.attempt != told.attempt:
            return False
        told.terminal, told.ended_at, told.ended_when = event, offset, self.world.now
        self.on_ended(told)
        self._text_is_of_one_attempt(told)
        if isinstance(event, Complete):
            self._finish_is_right(told, event)
        elif event.code == "busy":
            if told.open_before == 0 or (told.on_busy == "enqueue" and told.open_before <= 5):
                self.broken(f"{told.message_id} is busy, with {told.open_before} before it")
        elif event.code == "retries_exhausted":
            excused = sum(self.attempts[a].excuse is not None for a in set(told.starts))
            if excused < 3:
                self.broken(f"{told.message_id} is given up after {excused} failed attempts")
        return True

    def _text_is_of_one_attempt(self, told: Told) -> None:
        if told.attempt not in self.attempts and told.text:
            self.broken(f"{told.message_id} has text without an attempt")
        wanted = whole_text(told.message_id, told.text)
        if told.text != wanted:
            self.broken(f"{told.message_id} reads {told.text!r}, not {wanted!r}")

    def _finish_is_right(self, told: Told, event: Complete) -> None:
        count = told.text.count("[")
        reason = event.finish_reason
        if reason == "stop" and count != told.plan.tokens:
            self.broken(f"{told.message_id} stops after {count} of {told.plan.tokens} tokens")
        if reason == "cancelled" and not told.cancelled:
            self.broken(f"{told.message_id} is cancelled, and nobody asked for it")
        if reason == "interrupted" and not told.interrupted:
            self.broken(f"{told.message_id} is interrupted, and nobody asked for it")


def _when_ended(told: Told) -> tuple[float, int]:
    """Offsets begin anew with each epoch, time does not."""
    return told.ended_when or 0.0, told.ended_at or 0
