"""Performs what the intake decides: the shell around it, with every task's owner in one place.

    delivered, assigned, log read, answer ended, time passes  ->  Intake  ->  actions  ->  here

Everything runs in one loop and every decision is made synchronously, so that two of them never
overlap; only the performing of an action waits.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from schemas.limits import SEND_TIMEOUT_S
from schemas.log.log_reader import LogReader
from schemas.shard_log import Record
from workers import metrics
from workers.attempt.attempt import Attempt
from workers.attempt.needs import AskedModel, AttemptSettings, Sender
from workers.attempt.tick import Tick
from workers.errands import Errands, Sessions
from workers.faust_group import UserRecord
from workers.handover import Durations, slices
from workers.intake import actions
from workers.intake.ack_window import Gap
from workers.intake.actions import Action, AttemptEnd, MessageKey
from workers.intake.delivery import delivery_of
from workers.intake.intake import FORGET_EVERY_S, Intake

log = structlog.get_logger(__name__)

TICK_S = 0.1


class LogGap(Exception):
    """The session log lost a range before it was read: the fold must be made anew, by a restart."""


class Group(Protocol):
    """What the worker asks of the group's member."""

    def acknowledge(self, shard: int, offset: int) -> None:
        """The oldest unacknowledged record is done."""

    def record(self, shard: int, offset: int) -> UserRecord | None:
        """Give an unacknowledged record again."""

    def stop_reading(self, shard: int) -> None:
        """Deliver no more of the shard."""

    def read_on(self, shard: int) -> None:
        """Deliver again."""


class Worker:
    """Receives what the group delivers (`faust_group.Receiver`) and performs the actions."""

    group: Group
    """Set once before `run`: the member of the group is told of its receiver first."""

    def __init__(
        self,
        intake: Intake,
        *,
        shards: int,
        sender: Sender,
        tick: Tick,
        dead_letters: Sender,
        model: AskedModel,
        sessions: Sessions,
        reader: LogReader,
        first_record_in: Callable[[int, Gap], Awaitable[int | None]],
        attempts: AttemptSettings,
        longest_answer_s: float,
    ) -> None:
        self._intake = intake
        self._shards = shards
        self._sender = sender
        self._attempts_tick = tick
        self._model = model
        self._sessions = sessions
        self._reader = reader
        self._errands = Errands(
            intake,
            sender=sender,
            dead_letters=dead_letters,
            sessions=sessions,
            reader=reader,
            first_record_in=first_record_in,
            done=self._perform,
        )
        self._settings = attempts
        self._attempts: dict[MessageKey, Attempt] = {}
        self._since_s: dict[MessageKey, float] = {}
        self.durations = Durations(longest_answer_s)
        self._tasks: asyncio.TaskGroup | None = None
        self._changed = asyncio.Event()
        self._roused = asyncio.Event()
        self._going_on = False
        self._gap: asyncio.Future[None] | None = None

    def delivered(self, record: UserRecord) -> None:
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
        """After the group was left: let end what can, and hand the rest over (`handover`)."""
        left_s = time.monotonic()
        self._intake.revoking()
        self._intake.assigned((), left_s)
        self._perform()
        ages_s = [(key, left_s - since_s) for key, since_s in self._since_s.items()]
        for at_s, keys in slices(ages_s, self.durations, grace_s):
            if await self._until(lambda: not self._attempts, left_s + at_s - time.monotonic()):
                return
            for key in self._attempts if keys is None else keys:
                if attempt := self._attempts.get(key):
                    attempt.release()
        if not await self._until(lambda: not self._attempts, SEND_TIMEOUT_S):
            log.warning("left unreleased", attempts=len(self._attempts))

    @property
    def running(self) -> int:
        """Attempts whose task has not ended."""
        return len(self._attempts)

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
            if self._intake.rests:
                self._roused.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FORGET_EVERY_S):
                        await self._roused.wait()
            await asyncio.sleep(TICK_S)
            self._intake.tick(time.monotonic())
            self._perform()

    # -- performing

    def _perform(self) -> None:
        for action in self._intake.take():
            self._perform_one(action)
        if not self._roused.is_set() and not self._intake.rests:
            self._roused.set()
        if self._intake.unjudged and not self._going_on:
            # In slices, with a turn of the loop for everybody else between them.
            self._going_on = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._going_on = False
        self._intake.go_on(time.monotonic())
        self._perform()

    def _perform_one(self, action: Action) -> None:
        match action:
            case actions.Start():
                self._begin(action)
            case actions.GoOn():
                if attempt := self._attempts.get(action.key):
                    metrics.CONTINUED.inc(bool(action.text))
                    attempt.go_on(action)
            case actions.Stop():
                if attempt := self._attempts.get(action.key):
                    attempt.stop(action.reason)
            case actions.Abandon():
                if attempt := self._attempts.get(action.key):
                    attempt.abandon()
            case actions.Outranked(key=key, ours=ours, theirs=theirs):
                metrics.OUTRANKED.inc()
                told = {"session": key.session_id, "message": key.message_id, "fence": ours}
                log.error("no start can count: raise TALKLOG_EPOCH", **told, fence_in_log=theirs)
            case actions.Write():
                self._spawn(self._errands.write(action))
            case actions.DeadLetter():
                record = self.group.record(action.shard, action.offset)
                self._spawn(self._errands.dead_letter(action, record))
            case actions.LookIntoGap():
                self._spawn(self._errands.look_into_gap(action))
            case actions.LookUp():
                self._spawn(self._errands.look_up(action))
            case actions.Store():
                self._spawn(self._errands.store(action))
            case actions.Forgo():
                metrics.FORGONE.inc()
                self._sessions.forgo(action.key)
            case actions.ForgetHistory(session_id, offset):
                self._sessions.forgetting(session_id, offset)
                self._spawn(self._sessions.forget(session_id))
            case actions.NoteEnd():
                self._spawn(self._sessions.note_end(action))
            case actions.Follow():
                self._spawn(self._errands.follow(action))
            case actions.AskEnd():
                self._spawn(self._errands.ask_end(action))
            case actions.Unfollow():
                self._reader.unfollow(action.shard)
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

        attempt = self._attempts[key] = Attempt(
            start,
            settings=self._settings,
            sender=self._sender,
            tick=self._attempts_tick,
            model=self._model,
            turns=lambda session_id: self._sessions.turns(start.shard, session_id),
            on_started=landed,
            on_chunk=metrics.CHUNKS.inc,
        )
        self._spawn(self._run_attempt(key, start.attempt, attempt))

    async def _run_attempt(self, key: MessageKey, name: str, attempt: Attempt) -> None:
        end, offset = AttemptEnd.ABANDONED, None
        self._since_s[key] = time.monotonic()
        try:
            end, offset = await attempt.run()
        finally:
            metrics.ENDED.labels(end.name.lower()).inc()
            del self._attempts[key]
            since_s = self._since_s.pop(key)
            if end is AttemptEnd.TERMINAL:
                self.durations.ended(time.monotonic() - since_s)
            self._intake.answered(key, name, end, offset, time.monotonic())
            self._perform()
            self._changed.set()
