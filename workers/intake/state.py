"""What the intake holds: delivered messages, the lanes they stand in, the shards they lie in.

Values only. Who changes them: `lanes` the messages, `membership` the shards, `own_attempts` the
attempts of this process.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from schemas.events import StopReason, UserMessage
from workers.intake.ack_window import AckWindow
from workers.intake.actions import MessageKey
from workers.intake.decision import Care
from workers.intake.shard_fold import ShardFold

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
_DOUBLINGS_MAX = 10  # far beyond BACKOFF_MAX_S, and still a float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What this process takes on at most."""

    max_running: int
    read_ahead_messages: int
    read_ahead_bytes: int
    waiting_for_history: int


class Step(Enum):
    """What is under way for a message of ours; one thing at a time.

    IDLE -> LOOKING_UP -> IDLE: history and `answers` were asked whether it is over already.
    IDLE or LOOKING_UP -> WRITING -> AWAITING_READ_BACK -> IDLE: an event of the shard's owner goes
    into the log, and counts when it is read back; a failed write leads back to IDLE at once.
    IDLE -> DEAD_LETTERING -> IDLE. Any step -> STORING, when its terminal was read back.

    That an attempt of this process runs for it is no step: the attempt outlives a revoke, the
    delivered message doesn't (`own_attempts`).
    """

    IDLE = auto()
    LOOKING_UP = auto()
    WRITING = auto()
    AWAITING_READ_BACK = auto()
    DEAD_LETTERING = auto()
    STORING = auto()


class EarlierLife(Enum):
    """Whether the message lived before all that the fold holds of it."""

    NOT_ASKED = auto()
    NONE = auto()
    UNSURE = auto()  # Redis or Postgres did not answer


@dataclass(slots=True)
class Retry:
    """When the next try may be made after something has failed: a little later each time."""

    not_before_s: float = 0.0
    tries: int = 0

    def failed(self, now_s: float) -> None:
        """Rest from now on."""
        wait_s = BACKOFF_FIRST_S * 2.0 ** min(self.tries, _DOUBLINGS_MAX)
        self.not_before_s = now_s + min(wait_s, BACKOFF_MAX_S)
        self.tries += 1

    def resting(self, now_s: float) -> bool:
        """Say whether it is too early for the next try."""
        return now_s < self.not_before_s


@dataclass(slots=True)
class Suspicion:
    """What is known against a message that is ready to start, for `admission`."""

    care: Care = Care.FRESH
    ready_since_s: float = 0.0
    mute_since_ms: int = 0
    """Log-append time of its latest start if nothing was heard of it since; 0 otherwise."""


@dataclass(slots=True, eq=False)
class Work:
    """One delivered message of a shard of ours, with all its records."""

    token: int
    shard: int
    generation: int
    message: UserMessage
    offsets: list[int]
    accepted_ms: int
    traceparent: bytes | None
    asked_before: int
    """How often the end of the shard's session log had been asked for when it was delivered."""
    step: Step = Step.IDLE
    written_offset: int = -1
    """While AWAITING_READ_BACK: the offset at which the write was acknowledged."""
    stop: StopReason | None = None
    starts_sent: int = 0
    earlier_life: EarlierLife = EarlierLife.NOT_ASKED
    queued_written: bool = False
    dead_lettered: bool = False
    outranked_since_s: float | None = None
    """Since when no start of ours could count; infinity: that was said."""
    interrupted_before: bool = False
    """It asked to interrupt, and everything before it in its lane has been stopped."""
    retry: Retry = field(default_factory=Retry)
    suspicion: Suspicion = field(default_factory=Suspicion)
    key: MessageKey = field(init=False)
    """Which message it is."""

    def __post_init__(self) -> None:
        self.key = MessageKey(self.message.session_id, self.message.message_id)


class Lane:
    """One session's delivered messages in the order of the log.

    `works` are all that are not acknowledged; open are those of them without a terminal in the
    fold. Nothing here looks at a whole lane: it may be long.
    """

    __slots__ = ("_open", "_order", "works")

    def __init__(self) -> None:
        self.works: OrderedDict[str, Work] = OrderedDict()
        self._open: OrderedDict[int, Work] = OrderedDict()
        self._order: list[int] = []  # the tokens of the open ones, which ascend

    def add(self, work: Work) -> None:
        """Put a message at the end."""
        self.works[work.message.message_id] = self._open[work.token] = work
        self._order.append(work.token)

    def close(self, work: Work) -> Work | None:
        """Note that it has ended; gives the message that is the head thereby, if one is."""
        was_head = self.head is work
        if self._open.pop(work.token, None) is not None:
            del self._order[bisect_left(self._order, work.token)]
        return self.head if was_head else None

    @property
    def head(self) -> Work | None:
        """The first message without a terminal: the only one that may run."""
        return next(iter(self._open.values()), None)

    def ahead(self, work: Work) -> int:
        """Give how many messages without a terminal stand before it."""
        return bisect_left(self._order, work.token)

    def before(self, work: Work) -> Iterator[Work]:
        """Give all messages that stand before it, also those that have ended, the nearest first."""
        behind = True
        for other in reversed(self.works.values()):
            if not behind:
                yield other
            behind = behind and other is not work


@dataclass(slots=True)
class Shard:
    """A shard that is owned, or in which an attempt of this process runs still."""

    number: int
    window: AckWindow
    owned: bool = False
    follow_asked: bool = False
    """The shell was asked to read its session log, and does not yet."""
    fold: ShardFold | None = None
    folded: bool = False
    """Read to the end since it was assigned; nothing is decided about its messages before."""
    lanes: dict[str, Lane] = field(default_factory=dict)
    storing: OrderedDict[int, Work] = field(default_factory=OrderedDict)
    awaiting_end: dict[int, Work] = field(default_factory=dict)
    """What can only be decided when the shard has been read to its end once more."""
    dead_lettering: dict[int, int | None] = field(default_factory=dict)
    """Offset of a record whose dead letter is being written -> the token of its message, if any."""
    read_backs: list[tuple[int, MessageKey]] = field(default_factory=list)
    """A heap: offsets that have to be read back before something goes on with the message."""
    forget_before_ms: int = 0
    forget_before_next_ms: int = 0

    def find(self, key: MessageKey) -> Work | None:
        """Give the delivered message, if it is ours."""
        lane = self.lanes.get(key.session_id)
        return lane.works.get(key.message_id) if lane is not None else None
