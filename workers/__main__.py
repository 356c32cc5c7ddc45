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

from schemas.log.log_reader import LogReader
from schemas.log.log_scan import LogScanner
from schemas.log.producer import LogProducer
from schemas.process import logs
from schemas.process.admin_port import AdminPort
from schemas.process.loop_watchdog import LoopWatchdog
from schemas.process.settings import SettingsError, exit_with, load
from schemas.process.stopping import (
    CLOSE_LIMIT_S,
    STOP_MARGIN_S,
    Exit,
    StoppedFirst,
    unless_stopped,
)
from schemas.topics import SESSION_LOG
from workers import metrics
from workers.faust_group import FaustIntake
from workers.history.redis_history import History, connect
from workers.history.sessions import SessionMemory
from workers.history.stored_conversation import StoredConversations
from workers.intake.intake import Intake
from workers.model.model import Model
from workers.settings import WorkerSettings
from workers.stall_watch import watches
from workers.worker import Worker

log = structlog.get_logger("workers")

T = TypeVar("T")

READ_BACK_MIN_BYTES = 64 * 1024
READ_BACK_MAX_WAIT_MS = 30


async def serve(settings: WorkerSettings) -> None:
    """Work until SIGTERM or SIGINT, then drain."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    leaving = Exit()

    def asked() -> None:
        if not stop.is_set():
            leaving.within(settings.drain_s + STOP_MARGIN_S, 1)
        stop.set()

    async def started(start: Coroutine[Any, Any, T]) -> T:
        try:
            return await unless_stopped(stop.wait(), start)
        except StoppedFirst:
            leaving.within(CLOSE_LIMIT_S, 0)  # nothing was begun
            raise

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, asked)
    async with AsyncExitStack() as stack:
        stack.enter_context(
            LoopWatchdog(loop, log_s=settings.loop_blocked_log_s, limit_s=settings.stall_limit_s)
        )
        model = Model(
            settings.model_address(),
            fallback=settings.model_fallback(),
            limits=settings.model_limits(),
            include_usage=settings.include_usage,
        )
        stack.push_async_callback(model.aclose)
        producer = LogProducer(
            settings.kafka, linger_ms=settings.linger_ms, on_failed=metrics.SENDS_FAILED.inc
        )
        await started(stack.enter_async_context(producer))
        redis = connect(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        conversations = StoredConversations(
            settings.postgres_dsn, budget_tokens=settings.prompt_budget_tokens
        )
        await conversations.open()
        stack.push_async_callback(conversations.close)
        scanner = LogScanner(settings.kafka, SESSION_LOG, settings.shards)
        intake = Intake(epoch=settings.epoch, bounds=settings.bounds(), new_id=lambda: str(ULID()))

        async def log_start(shard: int) -> int:
            return (await worker.reader.start_offsets([shard]))[shard]

        memory = SessionMemory(
            history=History(
                redis,
                now=lambda: datetime.now(UTC),  # noqa: TID251 - the edge
                budget_tokens=settings.prompt_budget_tokens,
            ),
            conversations=conversations,
            scanner=scanner,
            at_hand=intake.at_hand,
            log_start=log_start,
            epoch=settings.epoch,
        )
        worker = Worker(
            intake,
            shards=settings.shards,
            sender=producer,
            model=model,
            memory=memory,
            answers=settings.answers(),
        )
        worker.reader = LogReader(
            settings.kafka,
            SESSION_LOG,
            settings.shards,
            on_records=worker.read_back,
            on_gap=worker.gap,
            # Nobody watches a read-back, so it is read in few, larger pieces: half the cost of it.
            fetch_min_bytes=READ_BACK_MIN_BYTES,
            fetch_max_wait_ms=READ_BACK_MAX_WAIT_MS,
        )
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="talklog-worker-"))
        group = FaustIntake(settings.kafka, worker, folder=Path(folder))
        worker.group = group
        not_ready = "starting"
        admin = AdminPort(settings.admin_port, lambda: not_ready or None)
        await admin.start()
        stack.push_async_callback(admin.stop)
        stack.push_async_callback(worker.reader.stop)
        await started(worker.reader.start())
        measure(intake, worker, model)

        running = [
            loop.create_task(part.run()) for part in (worker, worker.reader, scanner, memory)
        ]
        try:
            await started(group.start())
            running += [
                loop.create_task(watch.run())
                for watch in watches(intake, group, worker.reader, settings.stall_limit_s)
            ]
            not_ready = ""
            log.info("ready", worker=settings.worker_name)
            await until_over(stop, group, running)
            not_ready = "draining"
            log.info("draining", running=worker.running, grace_s=settings.drain_s)
            deadline_s = time.monotonic() + settings.drain_s
            await worker.prepare_to_leave()
            # Leave first: the next owner takes over at once, and waits while our answers go on.
            await group.stop()
            await worker.finish(deadline_s - time.monotonic())
            # What is not released by now ends by its silence: nothing is lost by going.
            leaving.within(CLOSE_LIMIT_S, 0)
        finally:
            # After a drain it has left already; after a failure it still gives its shards back.
            await group.stop()
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=5.0)


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


def measure(intake: Intake, worker: Worker, model: Model) -> None:
    """Show the state of the intake and of the breakers among the metrics."""
    for endpoint in model.endpoints:
        metrics.breaker(endpoint)
    metrics.gauge("running", "Answers that run", lambda: worker.running)
    metrics.gauge("unfinished", "Records not acknowledged yet", lambda: intake.unfinished)
    metrics.gauge("owned_shards", "Shards of this process", lambda: len(intake.owned))
    metrics.gauge(
        "waiting_for_history",
        "Messages that only wait for their history",
        lambda: intake.waiting_for_history,
    )


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
        code = 130
    except Exception:
        log.exception("the worker has failed")
        code = 1
    # Not sys.exit: a thread of the consumer that stands still would keep the process alive.
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    main()
