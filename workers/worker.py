"""Performs what the intake decides: the shell around it, with every task's owner in one place.

    delivered, assigned, log read, answer ended, time passes  ->  Intake  ->  actions  ->  here

Everything runs in one loop and every decision is made synchronously, so that two of them never
overlap; only the performing of an action waits.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from schemas.events import UndecodableEvent, UserMessage, decode_user_event, encode
from schemas.limits import SEND_TIMEOUT_S
from schemas.log.log_reader import LogReader, LogUnavailable
from schemas.log.producer import SendFailed
from schemas.shard_log import Record
from schemas.topics import DEAD_LETTERS, HEADERS, SESSION_LOG, shard_of
from workers import metrics
from workers.attempt.attempt import Answer, AnswerSettings, Asked, KnownTurns, Sender, now_text
from workers.attempt.events_out import event_of
from workers.faust_group import Delivered
from workers.intake import actions
from workers.intake.actions import Action, AttemptEnd, Delivery, MessageKey
from workers.intake.intake import Intake

log = structlog.get_logger(__name__)

TICK_S = 0.1
ASK_AGAIN_S = 0.5


class LogGap(Exception):
    """The session log lost a range before it was read: the fold must be made anew, by a restart."""


class Group(Protocol):
    """What the worker asks of the group's member."""

    def acknowledge(self, shard: int, offset: int) -> None:
        """The oldest unacknowledged record is done."""

    def record(self, shard: int, offset: int) -> Delivered | None:
        """Give an unacknowledged record again."""

    def stop_reading(self, shard: int) -> None:
        """Deliver no more of the shard."""

    def read_on(self, shard: int) -> None:
        """Deliver again."""


class Memory(Protocol):
    """History and what is known of old messages. Nothing here raises; each waits as it must."""

    async def turns(self, shard: int, session_id: str) -> KnownTurns:
        """What was said before in the session."""

    async def store(self, action: actions.Store) -> bool:
        """Merge a message's turns, however long it takes; says whether Redis has them."""

    def forgo(self, key: MessageKey) -> None:
        """The message's turns will not be stored: rebuild its session's history later."""

    async def over(self, action: actions.LookUp) -> tuple[bool, bool]:
        """Whether a message that the fold doesn't know has ended, and whether that is sure."""


class Worker:
    """Receives what the group delivers (`faust_group.Receiver`) and performs the actions."""

    group: Group
    reader: LogReader

    def __init__(
        self,
        intake: Intake,
        *,
        shards: int,
        sender: Sender,
        model: Asked,
        memory: Memory,
        answers: AnswerSettings,
    ) -> None:
        self._intake = intake
        self._shards = shards
        self._sender = sender
        self._model = model
        self._memory = memory
        self._settings = answers
        self._answers: dict[MessageKey, Answer] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._changed = asyncio.Event()
        self._gap: asyncio.Future[None] | None = None

    # -- what happens

    def delivered(self, record: Delivered) -> None:
        """A record of `user_messages` came."""
        metrics.DELIVERED.inc()
        self._intake.delivered(delivery_of(record, self._shards), time.monotonic())
        self._perform()

    async def revoked(self) -> None:
        """Every shard is taken away: wait until no start of ours is under way.

        A start that lands after the next owner has folded the shard would be an attempt that nobody
        runs, or a second one.
        """
        self._intake.revoking()
        self._perform()
        await self._starts_have_landed()

    def assigned(self, shards: set[int]) -> None:
        """Exactly these shards are ours now."""
        metrics.REBALANCES.inc()
        log.info("shards assigned", shards=sorted(shards))
        self._intake.assigned(shards, time.monotonic())
        self._perform()

    def read_back(self, shard: int, records: Sequence[Record]) -> None:
        """The session log was read (see `LogReader`)."""
        bad = self._intake.records(shard, records, time.monotonic())
        if bad:
            metrics.BAD_EVENTS.inc(bad)
        self._perform()

    def gap(self, shard: int, from_offset: int, to_offset: int) -> None:
        """The session log no longer holds a range that was not read yet."""
        error = LogGap(f"shard {shard}: offsets {from_offset} to {to_offset} were trimmed unread")
        if self._gap is not None and not self._gap.done():
            self._gap.set_exception(error)

    # -- the process's life

    async def run(self) -> None:
        """Perform until cancelled. Raises LogGap."""
        self._gap = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._tick())
            await self._gap

    async def prepare_to_leave(self) -> None:
        """Start nothing any more; returns when no start is under way."""
        self._intake.stopping()
        await self._starts_have_landed()

    async def finish(self, grace_s: float) -> None:
        """After the group was left: let running answers end, release those that don't in time."""
        self._intake.revoking()
        self._intake.assigned((), time.monotonic())
        self._perform()
        if not await self._until(lambda: not self._answers, grace_s):
            for answer in self._answers.values():
                answer.release()
            if not await self._until(lambda: not self._answers, SEND_TIMEOUT_S):
                log.warning("left unreleased", answers=len(self._answers))

    @property
    def running(self) -> int:
        """Answers whose task has not ended."""
        return len(self._answers)

    async def _starts_have_landed(self) -> None:
        await self._until(lambda: not self._intake.starting, SEND_TIMEOUT_S)

    async def _until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        try:
            async with asyncio.timeout(limit_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._intake.tick(time.monotonic())
            self._perform()

    # -- performing

    def _perform(self) -> None:
        for action in self._intake.take():
            self._perform_one(action)

    def _perform_one(self, action: Action) -> None:
        match action:
            case actions.Start():
                self._begin(action)
            case actions.Stop():
                if answer := self._answers.get(action.key):
                    answer.stop(action.reason)
            case actions.Abandon():
                if answer := self._answers.get(action.key):
                    answer.abandon()
            case actions.Write():
                self._spawn(self._write(action))
            case actions.DeadLetter():
                self._spawn(
                    self._dead_letter(action, self.group.record(action.shard, action.offset))
                )
            case actions.LookUp():
                self._spawn(self._look_up(action))
            case actions.Store():
                self._spawn(self._store(action))
            case actions.Forgo():
                metrics.FORGONE.inc()
                self._memory.forgo(action.key)
            case actions.Follow():
                self._spawn(self._follow(action))
            case actions.AskEnd():
                self._spawn(self._ask_end(action))
            case actions.Unfollow():
                self.reader.unfollow(action.shard)
            case actions.Ack():
                self.group.acknowledge(action.shard, action.offset)
            case actions.StopReading():
                metrics.FULL.inc()
                self.group.stop_reading(action.shard)
            case actions.ReadOn():
                self.group.read_on(action.shard)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None:
            raise RuntimeError("the worker does not run")
        self._tasks.create_task(work)

    def _begin(self, start: actions.Start) -> None:
        key = MessageKey(start.message.session_id, start.message.message_id)
        metrics.STARTS.inc()
        metrics.START_SECONDS.observe(max(0.0, time.time() - start.accepted_ms / 1000))

        def landed() -> None:
            self._intake.started(key, start.attempt)
            self._changed.set()

        answer = self._answers[key] = Answer(
            start,
            settings=self._settings,
            sender=self._sender,
            model=self._model,
            turns=lambda session_id: self._memory.turns(start.shard, session_id),
            on_started=landed,
            on_chunk=metrics.CHUNKS.inc,
        )
        self._spawn(self._answer(key, start.attempt, answer))

    async def _answer(self, key: MessageKey, attempt: str, answer: Answer) -> None:
        end, offset = AttemptEnd.ABANDONED, None
        try:
            end, offset = await answer.run()
        finally:
            metrics.ENDED.labels(end.name.lower()).inc()
            del self._answers[key]
            self._intake.answered(key, attempt, end, offset, time.monotonic())
            self._perform()
            self._changed.set()

    async def _write(self, action: actions.Write) -> None:
        event = event_of(action.event, action.message, now_text())
        headers = list(HEADERS)
        if action.traceparent is not None:
            headers.append(("traceparent", action.traceparent))
        metrics.WRITES.labels(type(action.event).__name__.lower()).inc()
        offset = None
        try:
            offset = await self._sender.send(
                SESSION_LOG, action.shard, event.session_id.encode(), encode(event), headers
            )
        except SendFailed as error:
            log.warning("send failed", session=event.session_id, error=str(error))
        self._intake.written(action.token, action.event, offset, time.monotonic())
        self._perform()

    async def _dead_letter(self, action: actions.DeadLetter, record: Delivered | None) -> None:
        if record is None:
            return  # revoked meanwhile: it comes again
        log.error("dead letter", shard=action.shard, offset=action.offset, reason=action.reason)
        headers = [
            *((name, value) for name, value in record.headers.items()),
            ("topic", b"user_messages"),
            ("partition", str(record.shard).encode()),
            ("offset", str(record.offset).encode()),
            ("reason", action.reason.encode()),
            ("tries", str(action.tries).encode()),
        ]
        while True:
            try:
                await self._sender.send(DEAD_LETTERS, None, record.key, record.value, headers)
                break
            except SendFailed as error:
                log.warning("dead letter not written, again", error=str(error))
                await asyncio.sleep(ASK_AGAIN_S)
        metrics.DEAD_LETTERS.inc()
        self._intake.dead_lettered(action.shard, action.offset, time.monotonic())
        self._perform()

    async def _look_up(self, action: actions.LookUp) -> None:
        over, sure = await self._memory.over(action)
        self._intake.looked_up(action.token, over=over, sure=sure, now_s=time.monotonic())
        self._perform()

    async def _store(self, action: actions.Store) -> None:
        remembered = await self._memory.store(action)
        self._intake.stored(action.token, time.monotonic(), remembered=remembered)
        self._perform()

    async def _follow(self, action: actions.Follow) -> None:
        while True:
            try:
                position = await self.reader.offset_at(action.shard, action.from_ms)
                break
            except LogUnavailable as error:
                log.warning("log not available, again", error=str(error))
                await asyncio.sleep(ASK_AGAIN_S)
        # No await between the two: no record comes before the intake knows of the position.
        self.reader.follow(action.shard, position)
        self._intake.following(action.shard, position, time.monotonic())
        self._perform()

    async def _ask_end(self, action: actions.AskEnd) -> None:
        while True:
            try:
                end = await self.reader.end_offset(action.shard)
                break
            except LogUnavailable as error:
                log.warning("log not available, again", error=str(error))
                await asyncio.sleep(ASK_AGAIN_S)
        self._intake.end_known(action.shard, action.asked, end, time.monotonic())
        self._perform()


def delivery_of(record: Delivered, shards: int) -> Delivery:
    """Read a record of `user_messages`, or say why it can't be used."""
    event, refused = None, None
    try:
        event = decode_user_event(record.value)
    except UndecodableEvent as error:
        refused = str(error)
    if event is not None and shard_of(event.session_id, shards) != record.shard:
        refused = f"session {event.session_id} does not belong to shard {record.shard}"
    elif isinstance(event, UserMessage) and not event.content:
        refused = "no content"
    return Delivery(
        shard=record.shard,
        offset=record.offset,
        generation=record.generation,
        timestamp_ms=record.timestamp_ms,
        size_bytes=len(record.value),
        event=event,
        refused=refused,
        traceparent=record.headers.get("traceparent"),
    )
