"""The broker: two topics of shards, and producers whose sends may fail with unknown outcome."""

from collections.abc import Callable
from enum import Enum, auto

from schemas.events import Event, encode
from schemas.limits import SEND_TIMEOUT_S
from schemas.shard_log import Record
from tests.simulation.world import Process, World

NEVER = float("inf")


class Trimmed(LookupError):
    """The position lies before the log's start."""


class Log:
    """One shard of one topic. `on_append` sees each record as it lands."""

    def __init__(self, topic: str, shard: int) -> None:
        self.topic = topic
        self.shard = shard
        self.start = 0
        self._records: list[Record] = []
        self.on_append: Callable[[Log, Record], None] = lambda log, record: None
        self.watchers: dict[object, Callable[[], None]] = {}

    @property
    def end(self) -> int:
        return self.start + len(self._records)

    def append(self, session_id: str, value: bytes, now_ms: int) -> int:
        record = Record(self.end, now_ms, session_id, value)
        self._records.append(record)
        self.on_append(self, record)
        for watcher in list(self.watchers.values()):
            watcher()
        return record.offset

    def read(self, position: int, limit: int) -> list[Record]:
        if position < self.start:
            raise Trimmed(position)
        first = position - self.start
        return self._records[first : first + limit]

    def offset_at(self, from_ms: int) -> int:
        """The first offset whose record is not older."""
        return next((r.offset for r in self._records if r.timestamp_ms >= from_ms), self.end)

    def trim(self, to: int) -> None:
        del self._records[: to - self.start]
        self.start = max(self.start, to)


class Fate(Enum):
    """What becomes of a send."""

    FINE = auto()
    ANSWER_LOST = auto()
    LATE = auto()
    NEVER = auto()


class Broker:
    """All logs of one epoch."""

    def __init__(self, world: World, epoch: int, shards: int) -> None:
        self.world = world
        self.epoch = epoch
        self.shards = shards
        self.users = [Log("user_messages", shard) for shard in range(shards)]
        self.sessions = [Log("session log", shard) for shard in range(shards)]
        self.latency_s = 0.004
        self.bad_sends = 0.0  # how many of all sends end with an unknown outcome
        self.stands_until = 0.0
        self.fates: dict[str, list[Fate]] = {}

    def fate(self, event: Event) -> Fate:
        """What becomes of a send; a story may say it beforehand (`fates`, by type or state)."""
        kind = getattr(event, "state", type(event).__name__)
        if self.fates.get(kind):
            return self.fates[kind].pop(0)
        if not self.world.chance(self.bad_sends):
            return Fate.FINE
        return self.world.random.choice([Fate.ANSWER_LOST, Fate.LATE, Fate.NEVER])


class Producer:
    """Idempotent: what it sends to one shard lands in the order of sending, or not at all.

    A failed send means that its outcome is unknown, and the next one goes through a new connection.
    """

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process
        self._lands_after: dict[Log, float] = {}
        self.on_failed: Callable[[], None] = lambda: None

    def send(self, log: Log, event: Event, done: Callable[[int | None], None]) -> bool:
        """`done` is called with the offset, or with None: it may be in the log, or land later.

        Gives whether all goes well with it; only the truth may know that so early.
        """
        world, broker = self._broker.world, self._broker
        fate = broker.fate(event)
        lands = max(world.now + world.delay(broker.latency_s), broker.stands_until)
        if fate is Fate.LATE:
            lands = world.now + world.random.uniform(SEND_TIMEOUT_S, 8 * SEND_TIMEOUT_S)
        if fate is Fate.NEVER:
            lands = NEVER
        lands = self._lands_after[log] = max(lands, self._lands_after.get(log, 0.0))
        sent = _Sent(self, log, event, done, answer_lost=fate is Fate.ANSWER_LOST)
        if lands != NEVER:
            world.after(lands - world.now, sent.land)
        gives_up = SEND_TIMEOUT_S if fate is not Fate.ANSWER_LOST else world.random.uniform(0.01, 5)
        well = fate is Fate.FINE and lands < world.now + SEND_TIMEOUT_S / 2
        if not well:
            world.after(gives_up, sent.fail, by=self._process)
        return well

    def failed(self) -> None:
        self._lands_after.clear()
        self.on_failed()


class _Sent:
    def __init__(
        self,
        producer: Producer,
        log: Log,
        event: Event,
        done: Callable[[int | None], None],
        *,
        answer_lost: bool,
    ) -> None:
        self._producer = producer
        self._log = log
        self._event = event
        self._done = done
        self._answer_lost = answer_lost
        self._over = False

    def land(self) -> None:
        producer = self._producer
        world = producer._broker.world
        offset = self._log.append(self._event.session_id, encode(self._event), world.now_ms)
        if not self._answer_lost:
            # An answer that came later would be none: the sender has given up by then.
            answer_s = min(world.delay(producer._broker.latency_s), SEND_TIMEOUT_S / 2)
            world.after(answer_s, self._answer, offset, by=producer._process)

    def _answer(self, offset: int) -> None:
        if not self._over:
            self._over = True
            self._done(offset)

    def fail(self) -> None:
        if not self._over:
            self._over = True
            self._producer.failed()
            self._done(None)
