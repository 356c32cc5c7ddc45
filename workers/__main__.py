"""A worker's whole life: settings, servers, membership, drain, exit code."""

import asyncio
import logging
import os
import signal
import tempfile
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog
import uvloop
from ulid import ULID

from schemas.log.gap import first_record_in
from schemas.log.log_reader import REFUSED, LogReader
from schemas.log.log_scan import LogScanner
from schemas.log.producer import LogProducer
from schemas.log.reading_pace import UNWATCHED, Fetch, rest_wait_ms
from schemas.log.topic_check import check_topics
from schemas.process import garbage, logs
from schemas.process.admin_port import AdminPort
from schemas.process.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from schemas.process.loop_watchdog import LoopWatchdog
from schemas.process.settings import SettingsError, exit_with, load
from schemas.process.stopping import (
    CLOSE_LIMIT_S,
    STOP_MARGIN_S,
    Exit,
    StoppedFirst,
    unless_stopped,
)
from schemas.topics import SESSION_LOG, USER_MESSAGES
from workers import metrics, stall_watch
from workers.attempt.tick import Tick
from workers.faust_group import FaustIntake
from workers.history.recent_histories import RecentHistories
from workers.history.redis_history import History, connect
from workers.history.sessions import Sessions
from workers.history.spent import Spent
from workers.history.stored_conversation import StoredConversations
from workers.intake.ack_window import Gap
from workers.intake.broker_clock import BrokerClock
from workers.intake.intake import Intake
from workers.load import LoadTeller
from workers.model.model import Model
from workers.settings import WorkerSettings
from workers.worker import Worker

log = structlog.get_logger("workers")

T = TypeVar("T")

READ_BACK_GATHERS = Fetch(64 * 1024, 30)
"""Nobody watches a read-back, so it is read in few, large fetches: half the cost of it."""
PARTS_END_LIMIT_S = 5.0


async def serve(settings: WorkerSettings) -> None:
    """Work until SIGTERM or SIGINT, then drain."""
    async with AsyncExitStack() as stack:
        process = Process(settings, stack)
        await process.wire()
        try:
            await process.run()
            await process.drain()
        finally:
            await process.end()


class Process:
    """One worker: its parts, from the first connection to the last closed one.

    Whatever is entered into `stack` is closed in reverse order when the process ends.
    """

    def __init__(self, settings: WorkerSettings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._stop = asyncio.Event()
        self._leaving = Exit()
        self._not_ready = "starting"
        self._running: list[asyncio.Task[None]] = []
        self._loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(name, self._asked_to_stop)
        stack.enter_context(
            LoopWatchdog(
                self._loop, log_s=settings.loop_blocked_log_s, limit_s=settings.stall_limit_s
            )
        )

    def _asked_to_stop(self) -> None:
        if not self._stop.is_set():
            self._leaving.within(self._settings.grace_s + STOP_MARGIN_S, 1)
        self._stop.set()

    async def _started(self, start: Coroutine[Any, Any, T]) -> T:
        try:
            return await unless_stopped(self._stop.wait(), start)
        except StoppedFirst:
            self._leaving.within(CLOSE_LIMIT_S, 0)  # nothing was begun
            raise

    async def wire(self) -> None:
        """Make every part and connect it; nothing is delivered yet."""
        settings, stack = self._settings, self._stack
        kafka = settings.brokers()
        model, clock = self._model(), BrokerClock()
        intake = Intake(
            epoch=settings.epoch,
            bounds=settings.bounds(),
            new_id=lambda: str(ULID()),
            may_continue=lambda: model.continues,
            clock=clock,
        )
        producer = LogProducer(
            kafka,
            linger_ms=settings.linger_ms,
            on_failed=metrics.SENDS_FAILED.inc,
            on_appended=lambda timestamp_ms: clock.heard(timestamp_ms, time.monotonic()),
        )
        await self._started(stack.enter_async_context(producer))
        await self._started(check_topics(kafka, (USER_MESSAGES, SESSION_LOG)))
        # Its own: a letter that fails must not throw away the producer of the answers.
        dead_letters = LogProducer(kafka, linger_ms=0, on_failed=metrics.SENDS_FAILED.inc)
        stack.push_async_callback(dead_letters.aclose)
        scanner = LogScanner(kafka, SESSION_LOG, settings.shards)
        reader = self._reader()
        sessions = await self._sessions(intake, reader, scanner)
        tick = Tick(producer, chunk_every_s=settings.attempts().chunk_every_s)
        self._worker = worker = Worker(
            intake,
            shards=settings.shards,
            sender=producer,
            tick=tick,
            dead_letters=dead_letters,
            model=model,
            sessions=sessions,
            reader=reader,
            first_record_in=self._first_record_in,
            attempts=settings.attempts(),
            longest_answer_s=settings.answer_timeout_s,
        )
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="talklog-worker-"))
        self._group = worker.group = FaustIntake(kafka, worker, folder=Path(folder))
        await self._show(intake, model)
        stack.push_async_callback(reader.stop)
        await self._started(reader.start())
        load = LoadTeller(self._redis, settings.worker_name, intake, worker, settings.max_running)
        look, limit_s = self._first_record_in, settings.stall_limit_s
        watches = stall_watch.watches(intake, self._group, reader, look, limit_s)
        self._parts = [worker.run, tick.run, reader.run, scanner.run, sessions.run, load.run]
        self._watches = [watch.run for watch in watches]

    async def _show(self, intake: Intake, model: Model) -> None:
        """Open the admin port, and show the state of the parts among the metrics."""
        settings = self._settings
        admin = AdminPort(
            settings.admin_port, lambda: self._not_ready or None, host=settings.admin_host
        )
        await admin.start()
        self._stack.push_async_callback(admin.stop)
        for endpoint in model.endpoints:
            metrics.breaker(endpoint)
        metrics.show(intake, lambda: self._worker.running)

    def _reader(self) -> LogReader:
        return LogReader(
            self._settings.brokers(),
            SESSION_LOG,
            self._settings.shards,
            on_records=lambda shard, records: self._worker.read_back(shard, records),
            on_gap=lambda shard, start, end: self._worker.gap(shard, start, end),
            awake=UNWATCHED,
            gather=READ_BACK_GATHERS,
            rest_ms=rest_wait_ms(self._settings.stall_limit_s),
        )

    async def _first_record_in(self, shard: int, gap: Gap) -> int | None:
        return await first_record_in(self._settings.brokers(), USER_MESSAGES, shard, *gap)

    def _model(self) -> Model:
        model = Model(
            self._settings.model_address(),
            fallback=self._settings.model_fallback(),
            limits=self._settings.model_limits(),
            include_usage=self._settings.include_usage,
        )
        self._stack.push_async_callback(model.aclose)
        return model

    async def _sessions(self, intake: Intake, reader: LogReader, scanner: LogScanner) -> Sessions:
        settings, redis = self._settings, connect(self._settings.redis_url)
        self._redis = redis
        self._stack.push_async_callback(redis.aclose)
        dsn, budget, pooled = settings.postgres_dsn, settings.prompt_budget_tokens, settings.pooled
        conversations = StoredConversations(dsn, budget_tokens=budget, pooled=pooled)
        await conversations.open()
        self._stack.push_async_callback(conversations.close)

        async def log_start(shard: int) -> int:
            return (await reader.start_offsets([shard]))[shard]

        return Sessions(
            history=History(
                redis,
                now=lambda: datetime.now(UTC),  # noqa: TID251 - the edge
                budget_tokens=budget,
            ),
            recent=RecentHistories(budget),
            spent=Spent(redis, metrics.ENDS_FORGONE.inc),
            conversations=conversations,
            scanner=scanner,
            at_hand=intake.at_hand,
            log_start=log_start,
            epoch=settings.epoch,
        )

    async def run(self) -> None:
        """Join the group and work until asked to stop. Raises what a part has failed with."""
        self._running = [self._loop.create_task(part()) for part in self._parts]
        await self._started(self._group.start())
        self._running += [self._loop.create_task(watch()) for watch in self._watches]
        garbage.settle()
        self._not_ready = ""
        log.info("ready", worker=self._settings.worker_name)
        await until_over(self._stop, self._group, self._running)

    async def drain(self) -> None:
        """Leave the group, then let what runs end in its time."""
        self._not_ready = "draining"
        grace_s = self._settings.grace_s
        log.info("draining", running=self._worker.running, grace_s=grace_s)
        deadline_s = time.monotonic() + grace_s
        await self._worker.prepare_to_leave()
        # Leave first: the next owner takes over at once, and waits while our answers go on.
        await self._group.stop()
        await self._worker.finish(deadline_s - time.monotonic())
        # What is not released by now ends by its silence: nothing is lost by going.
        self._leaving.within(CLOSE_LIMIT_S, 0)

    async def end(self) -> None:
        """End every part, also after a failure."""
        # After a drain it has left already; after a failure it still gives its shards back.
        await self._group.stop()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=PARTS_END_LIMIT_S)


async def until_over(
    stop: asyncio.Event, group: FaustIntake, running: list["asyncio.Task[None]"]
) -> None:
    """Wait for the order to stop. Raises what a part of the worker has failed with."""
    loop = asyncio.get_running_loop()
    stopped, crashed = loop.create_task(stop.wait()), loop.create_task(group.crashed())
    try:
        await asyncio.wait([stopped, crashed, *running], return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            if task.done():
                task.result()
        if crashed.done():
            raise crashed.result()
    finally:
        stopped.cancel()
        crashed.cancel()


def main() -> None:
    """Run a worker; exit code 0 after a drain, 1 after a failure, 2 for wrong settings."""
    try:
        settings = load(WorkerSettings, os.environ)
    except SettingsError as error:
        exit_with(error)
    logs.configure(settings.log_level, settings.log_format)
    for library in ("faust", "mode", "httpx", "httpx2", "openai"):
        # A line a request, a line a service: nothing that a person looks for.
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        uvloop.run(serve(settings))
        code = 0
    except StoppedFirst:
        code = 0
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except Exception as error:
        traced = not isinstance(error, REFUSED)
        log.error("the worker has failed", exc_info=traced, reason=str(error))
        code = EXIT_FAILED
    # Not sys.exit: a thread of the consumer that stands still would keep the process alive.
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    main()
