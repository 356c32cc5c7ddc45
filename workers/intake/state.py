"""What an intake holds: delivered messages, answers of this process, and the shards they lie in."""

from dataclasses import dataclass, field

from schemas.events import StopReason, UserMessage
from schemas.transcript import Fence
from workers.intake.ack_window import Window
from workers.intake.actions import MessageKey
from workers.intake.decision import Care
from workers.intake.shard_fold import ShardFold


@dataclass(frozen=True, slots=True)
class Bounds:
    """What this process takes on at most."""

    max_running: int = 200
    read_ahead_messages: int = 10_000
    read_ahead_bytes: int = 64 * 1024 * 1024
    waiting_for_history: int = 5_000


@dataclass(slots=True)
class Work:
    """One delivered message of this process's shards, with all its records."""

    token: int
    shard: int
    generation: int
    message: UserMessage
    offsets: list[int]
    accepted_ms: int
    traceparent: bytes | None
    asked_before: int  # how often the log's end had been asked for when it was delivered
    starts_sent: int = 0
    stop: StopReason | None = None
    writing: bool = False
    read_past: int | None = None  # a write is acknowledged at this offset, and not read back yet
    said_queued: bool = False
    looking_up: bool = False
    looked_up: bool = False
    sure: bool = True
    dead_lettering: bool = False
    dead_lettered: bool = False
    not_before: float = 0.0
    tries: int = 0
    ready_since: float = 0.0
    care: Care = Care.FRESH
    mute_since_ms: int = 0
    told_of: bool = False  # the log tells of it already
    storing: bool = False

    @property
    def key(self) -> MessageKey:
        """Which message it is."""
        return MessageKey(self.message.session_id, self.message.message_id)


@dataclass(slots=True)
class Mine:
    """An answer of this process: from the sending of its start until its end is read back."""

    shard: int
    key: MessageKey
    attempt: str
    fence: Fence
    care: Care
    since: float
    starting: bool = True
    stopping: bool = False
    done: bool = False
    read_past: int | None = None
    released: bool = False


@dataclass(slots=True)
class Shard:
    """One shard that is owned, or in which an answer of this process runs still."""

    number: int
    window: Window
    owned: bool = False
    folding: bool = False  # asked to be followed, not followed yet
    folded: bool = False
    fold: ShardFold | None = None
    lanes: dict[str, dict[str, Work]] = field(default_factory=dict)
    storing: dict[int, Work] = field(default_factory=dict)
    unread: dict[MessageKey, None] = field(default_factory=dict)  # of them something comes back
    floor_ms: int = 0
    settled_floor_ms: int = 0
