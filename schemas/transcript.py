"""The one fold: a session's events in log order -> what is true of each of its messages.

Gateway, workers, persister, replay and tests take what is true from here; `gateway/page/fold.js`
repeats it for browsers, and the cases in `schemas/vectors/` hold the two together.

The rules, per message:

* queued -> generating -> terminal (complete or error). What follows a terminal is ignored, a
  `generating` too.
* `generating` starts an attempt: text, reasoning, sequences and damage begin anew. A start with a
  lower fence than that of the current attempt is ignored; otherwise the later start in the log
  wins. So a process that was thought dead can write, and nobody listens.
* A start that `continues` keeps text and damage until its first chunk, which is that text, whole:
  the text of an answer that goes on is never shorter than it was. Reasoning is not repeated: what
  comes is put behind what is there.
* A chunk or terminal counts only if its attempt is the current one. A terminal without attempt
  counts only while there was no start.
* Sequence is dense from 1. Lower or equal is a repeat, ignored; a jump (also a terminal whose
  last_sequence is higher than what came) marks the answer damaged, and it is shown on. Reasoning
  has a sequence of its own, to which the same holds.
* `released` ends the attempt without a result: the message is queued again, later chunks of the
  attempt are ignored, but its id stays the current one, so that a terminal may carry it.

And of a session: `session_forgotten` takes away all that there is. Nothing brings it back: what
comes later of a message that is not known any more counts only if it says that its prompt was said
at or after the offset which the event names. So a reader need not remember which messages there
were, only this one place.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal, NamedTuple

from schemas.events import (
    Chunk,
    Complete,
    Error,
    Prompt,
    ReasoningChunk,
    SessionEvent,
    SessionForgotten,
    Status,
    Terminal,
    Timing,
    Usage,
)

MessageState = Literal["queued", "generating", "complete", "error"]
Fence = tuple[int, int, int]


class Outcome(Enum):
    """What an event did. The first eight count; the others changed nothing."""

    QUEUED = auto()
    STARTED = auto()
    ALIVE = auto()
    CANCELLING = auto()
    RELEASED = auto()
    CHUNK = auto()
    REASONING = auto()
    ENDED = auto()
    REPEATED = auto()  # a sequence that was there already, or `queued` of a message that runs
    FENCED = auto()  # of an attempt that is not the current one, or a start with a lower fence
    LATE = auto()  # after the terminal, or of a message that was forgotten
    UNKNOWN = auto()  # of a message of which there was no start (a chunk before its start)
    OVERLAP = auto()  # a merged frame that begins before and ends after what is there: read again
    FORGOTTEN = auto()  # the session: all of its messages are gone

    @property
    def counts(self) -> bool:
        """Whether the event is part of the transcript."""
        # Not `value`: that is a call, and this is asked for every event.
        return self._value_ <= _LAST_THAT_COUNTS


_LAST_THAT_COUNTS = Outcome.ENDED.value


class Place(NamedTuple):
    """Where an event lies in its shard: epoch, then offset. Later places are greater."""

    epoch: int
    offset: int


@dataclass(frozen=True, slots=True, order=True)
class Forgotten:
    """That a session was forgotten: the event's place, and the place in `user_messages` it names.

    What was said before the second is forgotten.
    """

    at: Place
    said_before: Place


@dataclass(slots=True)
class Message:
    """What is true of one message: the state after the events so far."""

    message_id: str
    prompt: Prompt | None = None
    state: MessageState = "queued"
    attempt: str | None = None
    fence: Fence | None = None
    released: bool = False
    starts: int = 0
    unended_starts: int = 0
    last_sequence: int = 0
    last_reasoning_sequence: int = 0
    damaged: bool = False
    cancelling: str | None = None
    position: int | None = None
    finish_reason: str | None = None
    error: Error | None = None
    usage: Usage | None = None
    timing: Timing | None = None
    history: str | None = None
    model: str | None = None
    worker: str | None = None
    continues: str | None = None
    tool_calls_ignored: int = 0
    first: Place | None = None
    last: Place | None = None
    contents: list[str] = field(default_factory=list)
    reasoning_contents: list[str] = field(default_factory=list)

    @property
    def terminal(self) -> bool:
        """Whether it has ended; nothing changes it any more."""
        return self.state in ("complete", "error")

    @property
    def text(self) -> str:
        """The text so far: of the current attempt, or of the one it continues."""
        return _joined(self.contents)

    @property
    def reasoning(self) -> str:
        """What the model has thought aloud so far; no part of the text."""
        return _joined(self.reasoning_contents)


@dataclass(slots=True)
class Transcript:
    """The fold of one session. Messages stand in the order of their first event.

    `keep_text=False` drops the text (for readers that store it elsewhere), `keep_reasoning=False`
    the reasoning; everything else is the same.
    """

    keep_text: bool = True
    keep_reasoning: bool = True
    messages: dict[str, Message] = field(default_factory=dict)
    forgotten: Forgotten | None = None

    def apply(
        self, event: SessionEvent, place: Place, first_sequence: int | None = None
    ) -> Outcome:
        """Take the next event in log order and say what it did.

        `first_sequence` is that of a merged chunk frame (`event.sequence` is then its last).
        """
        message = self.messages.get(event.message_id)
        if type(event) is Chunk and message is not None and message.state == "generating":
            # Nearly all that comes: what is said below of any event, in fewer steps.
            outcome = _chunk(message, event, first_sequence or event.sequence, self.keep_text)
            if outcome is Outcome.CHUNK:
                message.last = place
                message.first = message.first or place
            return outcome
        if isinstance(event, SessionForgotten):
            return self._forget(event, place)
        if message is None:
            if self.forgotten is not None and self._was_said_before(event, place.epoch):
                return Outcome.LATE
            message = Message(event.message_id)
            outcome = self._apply(message, event, first_sequence)
            if not outcome.counts:
                return Outcome.UNKNOWN
            self.messages[event.message_id] = message
            message.first = place
        elif message.terminal:
            return Outcome.LATE
        else:
            outcome = self._apply(message, event, first_sequence)
        if outcome.counts:
            message.last = place
            message.first = message.first or place
        return outcome

    def forgets(self, said: Place) -> bool:
        """Whether what was said there, in `user_messages`, was said before all was forgotten."""
        return self.forgotten is not None and said < self.forgotten.said_before

    def _was_said_before(self, event: SessionEvent, epoch: int) -> bool:
        """Say whether the first event of a message is of one that was said too early to count."""
        offset: int | None = getattr(event, "prompt_offset", None)
        return offset is None or self.forgets(Place(epoch, offset))

    def _forget(self, event: SessionForgotten, place: Place) -> Outcome:
        """Take all away, once: read again, the event must not take what was said since."""
        known = self.forgotten
        if known is not None and place <= known.at:
            return Outcome.REPEATED
        said_before = Place(place.epoch, event.said_before)
        if known is not None:
            said_before = max(known.said_before, said_before)
        self.forgotten = Forgotten(place, said_before)
        self.messages.clear()
        return Outcome.FORGOTTEN

    def _apply(self, message: Message, event: SessionEvent, first_sequence: int | None) -> Outcome:
        if isinstance(event, Chunk):
            return _chunk(message, event, first_sequence or event.sequence, self.keep_text)
        if isinstance(event, Status):
            return _STATUS[event.state](message, event)
        if isinstance(event, ReasoningChunk):
            first = first_sequence or event.sequence
            return _reasoning(message, event, first, self.keep_reasoning)
        assert not isinstance(event, SessionForgotten)  # noqa: S101 - it is of no message
        return _end(message, event)

    def running(self) -> Message | None:
        """The message whose answer runs now; of several, the one that began first."""
        return next((m for m in self.messages.values() if m.state == "generating"), None)

    def open_messages(self) -> list[Message]:
        """All that have no terminal, in the order of their first event."""
        return [message for message in self.messages.values() if not message.terminal]


def fold(events: Iterable[tuple[SessionEvent, Place]]) -> Transcript:
    """Fold a session's events, in log order, from nothing."""
    transcript = Transcript()
    for event, place in events:
        transcript.apply(event, place)
    return transcript


def is_lost(message: Message, epoch: int, log_start: int, held_in_log: bool) -> bool:
    """Say whether an open message can never end: the log that would end it is gone.

    `log_start` is the first offset that its shard still holds, `held_in_log` whether the log holds
    any record of the message, its user_message among them. Persister and snapshot ask here.
    """
    if message.terminal or held_in_log or message.last is None:
        return False
    return message.last < Place(epoch, log_start)


def _joined(contents: list[str]) -> str:
    if len(contents) > 1:
        contents[:] = ["".join(contents)]
    return contents[0] if contents else ""


def _queued(message: Message, event: Status) -> Outcome:
    if message.state != "queued":
        return Outcome.REPEATED
    message.prompt = message.prompt or event.prompt
    message.position = event.position
    return Outcome.QUEUED


def _generating(message: Message, event: Status) -> Outcome:
    fence = event.fence or (0, 0, 0)
    if message.fence is not None and fence < message.fence:
        return Outcome.FENCED
    message.state = "generating"
    message.attempt, message.fence = event.attempt, fence
    message.prompt = message.prompt or event.prompt
    message.model, message.worker = event.model, event.worker
    message.released, message.cancelling = False, None
    message.last_sequence = message.last_reasoning_sequence = 0
    message.position = None
    message.continues = event.continues
    if event.continues is None:
        message.contents, message.damaged = [], False
        message.reasoning_contents = []
    message.starts += 1
    message.unended_starts += 1
    return Outcome.STARTED


def _alive(message: Message, event: Status) -> Outcome:
    return Outcome.ALIVE if _current(message, event.attempt) else Outcome.FENCED


def _cancelling(message: Message, event: Status) -> Outcome:
    if not _current(message, event.attempt):
        return Outcome.FENCED
    message.cancelling = event.reason
    return Outcome.CANCELLING


def _released(message: Message, event: Status) -> Outcome:
    if not _current(message, event.attempt):
        return Outcome.FENCED
    message.state = "queued"
    message.released = True
    message.unended_starts -= 1
    return Outcome.RELEASED


_STATUS = {
    "queued": _queued,
    "generating": _generating,
    "alive": _alive,
    "cancelling": _cancelling,
    "released": _released,
}


def _current(message: Message, attempt: str | None) -> bool:
    return message.state == "generating" and message.attempt == attempt


def _chunk(message: Message, event: Chunk, first: int, keep_text: bool) -> Outcome:
    if not _current(message, event.attempt):
        return Outcome.FENCED
    if event.sequence <= message.last_sequence:
        return Outcome.REPEATED
    if first <= message.last_sequence:
        return Outcome.OVERLAP
    message.damaged = message.damaged or first > message.last_sequence + 1
    if message.last_sequence == 0:
        message.contents = []  # kept, if this attempt continues another: the chunk repeats it
    message.last_sequence = event.sequence
    if keep_text:
        message.contents.append(event.content)
    return Outcome.CHUNK


def _reasoning(message: Message, event: ReasoningChunk, first: int, keep: bool) -> Outcome:
    if not _current(message, event.attempt):
        return Outcome.FENCED
    if event.sequence <= message.last_reasoning_sequence:
        return Outcome.REPEATED
    if first <= message.last_reasoning_sequence:
        return Outcome.OVERLAP
    message.damaged = message.damaged or first > message.last_reasoning_sequence + 1
    message.last_reasoning_sequence = event.sequence
    if keep:
        message.reasoning_contents.append(event.content)
    return Outcome.REASONING


def _end(message: Message, event: Terminal) -> Outcome:
    if event.attempt != message.attempt:
        return Outcome.FENCED
    message.prompt = message.prompt or event.prompt
    message.damaged = message.damaged or event.last_sequence > message.last_sequence
    message.released, message.cancelling, message.position = False, None, None
    if isinstance(event, Complete):
        message.state, message.finish_reason = "complete", event.finish_reason
        message.usage, message.timing, message.history = event.usage, event.timing, event.history
        message.tool_calls_ignored = event.tool_calls_ignored
    else:
        message.state, message.error = "error", event
    return Outcome.ENDED


__all__ = [
    "Error",
    "Fence",
    "Forgotten",
    "Message",
    "MessageState",
    "Outcome",
    "Place",
    "Transcript",
    "fold",
    "is_lost",
]
