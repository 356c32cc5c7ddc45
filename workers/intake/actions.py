"""What goes into the intake and what comes out of it: values only.

The intake decides, the shell performs. Each action that has an outcome carries what the shell needs
to report it back (`token`: the delivered message that asked for it, which may be gone by then).
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from schemas.events import ErrorCode, FinishReason, StopReason, UserEvent, UserMessage
from schemas.transcript import Fence
from workers.intake.ack_window import Gap


class MessageKey(NamedTuple):
    """Which message, in the whole installation."""

    session_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One record of `user_messages` as it was delivered.

    `event` is None if it can't be used: then `refused` says why, or is None too for a type of a
    later version, which is skipped. `generation` is the consumer group's at the delivery. `begins`
    is where delivery of the shard begins, with its first record after an assignment.
    """

    shard: int
    offset: int
    generation: int
    timestamp_ms: int
    size_bytes: int
    event: UserEvent | None
    begins: int | None = None
    refused: str | None = None
    traceparent: bytes | None = None


# -- what the owner of a shard writes of a message for which no attempt of its own runs


@dataclass(frozen=True, slots=True)
class Queued:
    """The message waits; `position` messages of its session are before it."""

    position: int


@dataclass(frozen=True, slots=True)
class Cancelling:
    """The runner of `attempt`, in another process, shall stop."""

    attempt: str
    reason: StopReason


@dataclass(frozen=True, slots=True)
class EndedEarly:
    """The answer ends as cancelled or interrupted: before it began, or its attempt is silent."""

    reason: FinishReason
    attempt: str | None
    last_sequence: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer ends with an error that no model is to blame for; `text` is for people."""

    code: ErrorCode
    text: str
    retryable: bool
    attempt: str | None
    last_sequence: int


OwnerEvent = Queued | Cancelling | EndedEarly | Failed


# -- actions


@dataclass(frozen=True, slots=True)
class Start:
    """Run an attempt: `generating`, model, chunks, one terminal. Reported: started, answered."""

    shard: int
    message: UserMessage
    attempt: str
    fence: Fence
    accepted_ms: int
    traceparent: bytes | None
    continues: str | None = None
    """The attempt whose text it goes on with; GoOn says what it is, when the start is read back."""
    prompt_offset: int | None = None
    """Of the message's record in user_messages."""


@dataclass(frozen=True, slots=True)
class GoOn:
    """The text that a running attempt of this process goes on with; empty: it begins.

    `repeated_bytes`: how long the text was each time that it was gone on with, this time last.
    """

    key: MessageKey
    attempt: str
    text: str
    repeated_bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """End a running attempt of this process, keeping its text."""

    key: MessageKey
    reason: StopReason


@dataclass(frozen=True, slots=True)
class Abandon:
    """Drop a running attempt of this process: another took its place, nobody listens to it."""

    key: MessageKey


@dataclass(frozen=True, slots=True)
class Outranked:
    """Say that no start of ours can count: the log holds one with a higher fence.

    A group's generation only rises, so the group has begun anew within the same epoch.
    """

    shard: int
    key: MessageKey
    ours: Fence
    theirs: Fence


@dataclass(frozen=True, slots=True)
class Write:
    """Write one event of a message. Reported: written."""

    token: int
    shard: int
    message: UserMessage
    event: OwnerEvent
    traceparent: bytes | None
    prompt_offset: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Put the original record with the dead letters. Reported: dead_lettered."""

    shard: int
    offset: int
    reason: str
    tries: int


@dataclass(frozen=True, slots=True)
class LookIntoGap:
    """Find out whether records lie in [start, end), which was not delivered. Reported: gap_empty.

    If some do, accepted messages were skipped: only another start of the process reads them.
    """

    shard: int
    gap: Gap


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the history and `answers` whether the message is over. Reported: looked_up."""

    token: int
    shard: int
    key: MessageKey


@dataclass(frozen=True, slots=True)
class Store:
    """Merge the message's two turns into the history; `offset` is its terminal's.

    `sure` is false if it is unknown whether the log holds an earlier life of the message: then its
    text may not be written, and the session's history is to be forgotten instead. Reported: stored.
    """

    token: int
    shard: int
    key: MessageKey
    prompt: str
    answer: str
    offset: int
    sure: bool


@dataclass(frozen=True, slots=True)
class Forgo:
    """The message is acknowledged though its turns are not stored: rebuild its session later."""

    key: MessageKey


@dataclass(frozen=True, slots=True)
class ForgetHistory:
    """The session was forgotten, by the event at `offset` of its shard: its history has to go."""

    session_id: str
    offset: int


@dataclass(frozen=True, slots=True)
class NoteEnd:
    """Note that a message of a user has ended, and the tokens that it has cost: for his limits."""

    user: str
    key: MessageKey
    tokens: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Read the shard's session log from this log-append time on. Reported: following."""

    shard: int
    from_ms: int


@dataclass(frozen=True, slots=True)
class AskEnd:
    """Ask the broker for the end of the shard's session log. Reported: end_known."""

    shard: int
    asked: float


@dataclass(frozen=True, slots=True)
class Unfollow:
    """Nothing of the shard is needed any more."""

    shard: int


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to this offset of `user_messages` is done. In order, each offset once."""

    shard: int
    offset: int


@dataclass(frozen=True, slots=True)
class StopReading:
    """So many messages of the shard are unfinished that no more shall be delivered for now."""

    shard: int


@dataclass(frozen=True, slots=True)
class ReadOn:
    """There is room again."""

    shard: int


Action = (
    Start
    | GoOn
    | Stop
    | Abandon
    | Outranked
    | Write
    | DeadLetter
    | LookIntoGap
    | LookUp
    | Store
    | Forgo
    | ForgetHistory
    | NoteEnd
    | Follow
    | AskEnd
    | Unfollow
    | Ack
    | StopReading
    | ReadOn
)


class AttemptEnd(Enum):
    """How an attempt's task ended; only the first two left a record to be read back."""

    TERMINAL = auto()
    RELEASED = auto()
    ABANDONED = auto()
