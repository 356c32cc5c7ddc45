"""Persisters: the real batches and rows, written into simulated tables in guarded transactions.

Several processes may believe that a shard is theirs: one stalls inside its transaction, another
takes over, the first wakes. Only the guarded positions keep them apart.
"""

from collections.abc import Callable
from functools import partial

from persister.batch import Partition, Pending, drop, take
from persister.changes import Changes
from persister.rows import RowFold
from schemas.events import SessionEvent, UserEvent, decode_session_event, decode_user_event
from schemas.shard_log import Record
from schemas.topics import SESSION_LOG, USER_MESSAGES
from tests.simulation.log import Broker, Log
from tests.simulation.postgres import Away, Move, Postgres
from tests.simulation.world import Process, World

EVERY_S = 0.2
AGAIN_S = 1.0


class Persister:
    """One process. `shards` are those that it believes to be its own."""

    def __init__(
        self,
        name: str,
        world: World,
        broker: Broker,
        postgres: Postgres,
        batch: int,
        shards_of: Callable[["Persister"], set[int]],
    ) -> None:
        self.process = Process(name)
        self.world = world
        self._broker = broker
        self._postgres = postgres
        self._batch = batch
        self._shards_of = shards_of
        self._shards: set[int] = set()
        self._fold = RowFold(broker.epoch, max_answers=world.random.choice([2, 1000]))
        self._pending: dict[Partition, Pending[_Value]] = {}
        self._changes: Changes | None = None
        self._after(0.0, self._poll, timer=True)

    def hear_of_shards(self, in_s: float) -> None:
        """The group has moved shards; a process that is stalled hears of it when it wakes."""
        self._after(in_s, self._hear)

    def _hear(self) -> None:
        self._shards = self._shards_of(self)
        self._forget()

    def _forget(self) -> None:
        """The rows have moved without us, or may have."""
        self._pending.clear()
        self._fold.forget()

    def _poll(self) -> None:
        try:
            wait_s = EVERY_S if not self._begin() else None
        except Away:
            self._forget()
            wait_s = AGAIN_S
        if wait_s is not None:
            self._after(self.world.delay(wait_s), self._poll, timer=True)

    def _begin(self) -> bool:
        """Read, fold, and have it written a little later; false if there is nothing to write."""
        for shard in sorted(self._shards):
            for topic, log in self._logs(shard):
                partition = Partition(topic, shard)
                pending = self._pending.get(partition)
                if pending is None:
                    position = self._postgres.position(topic, shard)
                    pending = self._pending[partition] = Pending(position)
                for record in log.read(pending.end, self.world.random.randint(1, 40)):
                    pending.records.append(_Value(record))
        parts = take(self._pending, self._batch, 1 << 20)
        if not parts:
            return False
        events: list[tuple[int, int, UserEvent | SessionEvent]] = []
        for part in parts:
            for value in part.records:
                event = _event(part.partition.topic, value.record)
                events.append((part.partition.shard, value.offset, event))
        keys, sessions = self._fold.unknown([event for _, _, event in events])
        if keys:
            self._fold.restore(keys, *self._postgres.lookup(keys, sessions))
        changes = self._fold.fold(events)
        moves = [Move(p.partition.topic, p.partition.shard, p.expected, p.next) for p in parts]
        pending_then = self._pending
        done = partial(drop, dict(pending_then), parts)
        self._after(self.world.delay(0.02), self._write, changes, moves, done)
        return True

    def _write(self, changes: Changes, moves: list[Move], done: Callable[[], None]) -> None:
        """The transaction; its answer may be lost, and a shard may be ours no more."""
        try:
            stored = self._postgres.save(changes, moves)
        except Away:
            stored = False
        believes = all(Partition(move.topic, move.shard) in self._pending for move in moves)
        if not stored or not believes or self.world.chance(0.02):
            self._forget()
        else:
            done()
        self._after(self.world.delay(0.01), self._poll)

    def _logs(self, shard: int) -> list[tuple[str, Log]]:
        broker = self._broker
        return [(USER_MESSAGES, broker.users[shard]), (SESSION_LOG, broker.sessions[shard])]

    def _after(
        self, delay_s: float, function: Callable[..., None], *arguments: object, timer: bool = False
    ) -> None:
        self.world.after(delay_s, function, *arguments, by=self.process, timer=timer)


class _Value:
    """A record as the batches want it."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.offset = record.offset
        self.key = record.session_id.encode()
        self.value = record.value


def _event(topic: str, record: Record) -> UserEvent | SessionEvent:
    if topic == USER_MESSAGES:
        said = decode_user_event(record.value)
        assert said is not None
        return said
    event = decode_session_event(record.value)
    assert event is not None
    return event
