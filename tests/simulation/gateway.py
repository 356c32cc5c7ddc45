"""A gateway: the real delivery, resume and snapshot, and a shell around them in simulated time."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec import structs

from gateway.feed.delivery import frames_of, next_frames, readable
from gateway.feed.resume import fits, resume_position
from gateway.snapshot.snapshot import end_lost, snapshot
from schemas.cursor import Cursor
from schemas.events import UserEvent
from schemas.frames import Accepted, Connected, Frame, HistoryUnavailable, Refused, encode
from schemas.shard_log import PositionGone, ShardLog
from schemas.topics import shard_of
from schemas.transcript import Message, Place, Transcript
from tests.simulation.log import Broker, Log, Producer, Trimmed
from tests.simulation.postgres import Away, Postgres
from tests.simulation.redis import Redis
from tests.simulation.wire import Wire
from tests.simulation.world import Process, World

if TYPE_CHECKING:
    from tests.simulation.reader import Reader

RETRY_S = 1.0


class Gateway:
    """One process: the tails of all shards, and who follows them."""

    def __init__(
        self,
        name: str,
        world: World,
        broker: Broker,
        redis: Redis,
        postgres: Postgres,
        tail_max_bytes: int,
    ) -> None:
        self.process = Process(name)
        self.world = world
        self.broker = broker
        self.redis = redis
        self.postgres = postgres
        self.producer = Producer(broker, self.process)
        self.connections: list[Connection] = []
        self.tails = [ShardLog(log.end, max_bytes=tail_max_bytes) for log in broker.sessions]
        self.slow_tail_s = 0.01
        self._due: set[int] = set()
        for log in broker.sessions:
            log.watchers[self] = partial(self._read_soon, log)

    def connect(self, reader: "Reader", cursor: str | None, history: int) -> "Connection":
        connection = Connection(self, reader, cursor, history)
        self.connections.append(connection)
        return connection

    def die(self) -> None:
        self.world.kill(self.process)
        for log in self.broker.sessions:
            log.watchers.pop(self, None)
        for connection in list(self.connections):
            connection.close()

    def _read_soon(self, log: Log) -> None:
        if log.shard not in self._due:
            self._due.add(log.shard)
            self.after(self.world.delay(self.slow_tail_s), self._read, log)

    def _read(self, log: Log) -> None:
        self._due.discard(log.shard)
        tail = self.tails[log.shard]
        try:
            tail.append(log.read(tail.end, self.world.random.randint(1, 30)))
        except Trimmed:
            tail.seek(log.start)
            for connection in [c for c in self.connections if c.shard == log.shard]:
                connection.close()
        for connection in list(self.connections):
            if connection.shard == log.shard:
                connection.wake()
        if tail.end < log.end:
            self._read_soon(log)

    def after(self, delay_s: float, function: Callable[..., None], *arguments: object) -> None:
        self.world.after(delay_s, function, *arguments, by=self.process)


class Connection:
    """One client: `position` is the offset of the next record that it needs."""

    def __init__(
        self, gateway: Gateway, reader: "Reader", cursor: str | None, history: int
    ) -> None:
        self.gateway = gateway
        self.world = gateway.world
        self.session_id = reader.session_id
        self.shard = shard_of(reader.session_id, gateway.broker.shards)
        self.reader = reader
        self.history = history
        self.position = 0
        self.joined_at = 0
        self.joined = False
        self.caught_up = False
        self.said_unavailable = False
        self.submitting: list[Callable[[], None]] = []
        self.wire: Wire[bytes] = Wire(self.world, reader.process, reader.receive)
        self.wire.on_writable = self._deliver
        self._prefix = f"{gateway.broker.epoch}.{self.shard}."
        gateway.after(self.world.delay(0.004), self._join, cursor)

    @property
    def _tail(self) -> ShardLog:
        return self.gateway.tails[self.shard]

    @property
    def _log(self) -> Log:
        return self.gateway.broker.sessions[self.shard]

    @property
    def idle(self) -> bool:
        """Whether the client has been given all that there is."""
        read = self._tail.end == self._log.end
        return read and self.joined and self.caught_up and self.wire.idle and not self.submitting

    def close(self) -> None:
        """Whoever closes it: the client comes again."""
        if self.wire.open:
            self.wire.cut()
            self.gateway.connections.remove(self)
            self.reader.lost(self)

    # -- joining

    def _join(self, cursor: str | None) -> None:
        end = self._log.end
        if cursor is not None:
            position = resume_position(
                cursor, epoch=self.gateway.broker.epoch, shard=self.shard, end=end
            )
            if position is not None:
                self.gateway.after(self.world.delay(0.01), self._resume, position)
                return
        self._start_anew(None if cursor is None else False)

    def _resume(self, position: int) -> None:
        """Say that it is recovered only when the whole range is in hand."""
        if position > self._tail.end:
            self._say_connected(True)
            self._go_live(position)
            return
        try:
            records = self._log.read(position, self._tail.end - position)
        except Trimmed:
            self._start_anew(False)
            return
        mine = [record for record in records if record.session_id == self.session_id]
        frames = list(frames_of(mine, self.session_id, self._prefix))
        if not fits(frames):
            self._start_anew(False)
            return
        self._say_connected(True)
        for frame in frames:
            self.wire.push(frame)
        self._go_live(self._tail.end)

    def _start_anew(self, recovered: bool | None) -> None:
        self._say_connected(recovered)
        self.joined_at = self._log.end
        self._go_live(self.joined_at)
        self._ask_for_rows()

    def _ask_for_rows(self) -> None:
        if not self.wire.open:
            return
        try:
            messages, next_offset = self.gateway.postgres.conversation(self.session_id, self.shard)
        except Away:
            if not self.said_unavailable:
                self.said_unavailable = True
                self._say(HistoryUnavailable(session_id=self.session_id))
            self.gateway.after(RETRY_S, self._ask_for_rows)
            return
        self.gateway.after(self.world.delay(0.1), self._snapshot, messages, next_offset)

    def _snapshot(self, messages: list[Message], begin: int) -> None:
        """The rows, and the log from where they end to where the tail stands at this moment."""
        epoch = self.gateway.broker.epoch
        transcript = Transcript(messages={message.message_id: message for message in messages})
        try:
            records = self._log.read(begin, max(0, self._tail.end - begin))
        except Trimmed:
            self._ask_for_rows()
            return
        for record in records:
            if record.session_id == self.session_id:
                event = readable(record, self.session_id)
                assert event is not None
                transcript.apply(event, Place(epoch, record.offset))
        end_lost(transcript.messages.values(), epoch, self._log.start, lambda _: True)
        position = max(begin, self._tail.end)
        joined_at = self.joined_at
        if "snapshot-without-what-ended-since" in self.world.broken:
            joined_at = position
        frame = snapshot(
            self.session_id,
            transcript,
            Cursor(epoch, self.shard, position - 1),
            joined=Place(epoch, joined_at),
            history=self.history,
            log_start=self._log.start,
        )
        if "snapshot-without-ended" in self.world.broken:
            frame = structs.replace(frame, ended=())
        self._say(frame)
        if "live-from-the-asked-end" in self.world.broken:
            position = max(self.position, position)
        # Not from where it joined: the tail may not have come to there.
        self._go_live(position)

    # -- live

    def wake(self) -> None:
        self.caught_up = False
        self._deliver()

    def _go_live(self, position: int) -> None:
        self.joined, self.position, self.caught_up = True, position, False
        self._deliver()

    def _deliver(self) -> None:
        while self.joined and not self.caught_up and self.wire.writable:
            try:
                batch = next_frames(self._tail, self.session_id, self.position, self._prefix)
            except PositionGone:
                self.close()
                return
            for frame in batch.frames:
                self.wire.push(frame)
            self.position, self.caught_up = batch.position, batch.caught_up

    def _say_connected(self, recovered: bool | None) -> None:
        broker = self.gateway.broker
        connected = Connected(
            session_id=self.session_id,
            recovered=recovered,
            epoch=broker.epoch,
            shards=broker.shards,
        )
        self._say(connected)

    def _say(self, frame: Frame) -> None:
        self.wire.push(encode(frame))

    # -- what the client says: strictly one after another

    def submit(self, event: UserEvent) -> None:
        self.submitting.append(partial(self._publish, event))
        if len(self.submitting) == 1:
            self.gateway.after(self.world.delay(0.004), self.submitting[0])

    def _publish(self, event: UserEvent) -> None:
        log = self.gateway.broker.users[self.shard]
        claim = (self.gateway.broker.epoch, event.message_id)
        claims = self.gateway.redis.claims
        if self.reader.is_message(event) and not self.gateway.redis.away:
            if claims.get(claim) == "accepted":
                self._answered(event, duplicate=True)
                return
            claims[claim] = "pending"

        def sent(offset: int | None) -> None:
            if offset is None:
                claims.pop(claim, None)
                self._refuse(event)
                return
            if self.reader.is_message(event) and not self.gateway.redis.away:
                claims[claim] = "accepted"
            self._answered(event, duplicate=False)

        self.gateway.producer.send(log, event, sent)

    def _answered(self, event: UserEvent, *, duplicate: bool) -> None:
        if self.reader.is_message(event):
            self._say(
                Accepted(
                    session_id=self.session_id,
                    message_id=event.message_id,
                    duplicate=duplicate,
                    created_at=event.created_at,
                )
            )
        self._next()

    def _refuse(self, event: UserEvent) -> None:
        self._say(
            Refused(
                session_id=self.session_id,
                code="outcome_unknown" if self.reader.is_message(event) else "unavailable",
                message="the log did not answer in time",
                retryable=True,
                message_id=event.message_id,
            )
        )
        self._next()

    def _next(self) -> None:
        self.submitting.pop(0)
        if self.submitting:
            self.gateway.after(0.0, self.submitting[0])
