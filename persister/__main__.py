"""The persister's whole life: settings, wiring, run, drain, exit."""

import asyncio
import os
import signal
import sys

import structlog
import uvloop

from persister.consumer import Consumer, EpochBehind
from persister.dead_letters import DeadLetters
from persister.retention import Retention
from persister.settings import PersisterSettings
from persister.store import Store
from persister.writer import Writer
from schemas.log.producer import LogProducer
from schemas.process import garbage, logs
from schemas.process.admin_port import AdminPort
from schemas.process.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_SETTINGS
from schemas.process.loop_watchdog import LoopWatchdog
from schemas.process.reader_watch import ReaderStandsStill, ReaderWatch
from schemas.process.settings import SettingsError, exit_with, load
from schemas.process.stopping import CLOSE_LIMIT_S, GIVE_UP_LIMIT_S, STOP_MARGIN_S, Exit

log = structlog.get_logger(__name__)


def main() -> None:
    """Run until SIGTERM (exit 0) or SIGINT (130); exit 2 for settings that can't be right."""
    try:
        settings = load(PersisterSettings, os.environ)
    except SettingsError as error:
        exit_with(error)
    logs.configure(settings.log_level, settings.log_format)
    sys.exit(uvloop.run(serve(settings)))


async def serve(settings: PersisterSettings) -> int:
    """Write rows until a signal; give the exit code."""
    store = Store(settings.postgres_dsn, settings.timeouts(), pooled=settings.pooled)
    # It connects when the first bad record comes.
    producer = LogProducer(settings.brokers(), linger_ms=0)
    writer = Writer(
        store,
        DeadLetters(producer),
        epoch=settings.epoch,
        shards=settings.shards,
        max_answers=settings.cache_max_answers,
    )
    consumer = Consumer(settings, store, writer)
    admin = AdminPort(settings.admin_port, consumer.not_ready, host=settings.admin_host)
    watchdog = LoopWatchdog(
        asyncio.get_running_loop(),
        log_s=settings.loop_blocked_log_s,
        limit_s=settings.stall_limit_s,
    )
    leaving = Exit()
    await admin.start()
    # A batch makes many objects and no cycles: looking for them as often as by default took a
    # fifth of the CPU.
    garbage.settle()
    code = EXIT_FAILED
    try:
        with watchdog:
            code = await _run(consumer, settings, leaving)
            return code
    finally:
        # What is not stored is read again: nothing can be lost now.
        leaving.within(CLOSE_LIMIT_S, code)
        await producer.aclose()
        await store.close()
        await admin.stop()


async def _run(consumer: Consumer, settings: PersisterSettings, leaving: Exit) -> int:
    stop = asyncio.Event()
    code = 0

    def asked(exit_code: int) -> None:
        nonlocal code
        code = exit_code
        stop.set()
        leaving.within(settings.grace_s + STOP_MARGIN_S, EXIT_FAILED)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asked, 0)
    loop.add_signal_handler(signal.SIGINT, asked, EXIT_INTERRUPTED)
    running = asyncio.create_task(consumer.run(stop))
    stopping = asyncio.create_task(stop.wait())
    watch = ReaderWatch("persister", consumer.seen, settings.stall_limit_s)
    watching = asyncio.create_task(watch.run())
    letting_go = asyncio.create_task(Retention(settings).run())
    try:
        first = {running, stopping, watching}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        # The batch under way may end. If Kafka or Postgres don't answer, it is given up: what is
        # not stored is read again, so nothing is lost.
        await asyncio.wait({running}, timeout=settings.grace_s)
        if not running.done():
            log.warning("left unfinished", after_s=settings.grace_s)
            running.cancel()
            await asyncio.wait({running}, timeout=GIVE_UP_LIMIT_S)
            return code
        running.result()
    except EpochBehind as error:
        log.error("epoch behind", error=str(error), TALKLOG_EPOCH=settings.epoch)
        return EXIT_SETTINGS
    except ReaderStandsStill as error:
        log.error("reader stands still", error=str(error))
        running.cancel()
        await asyncio.wait({running}, timeout=GIVE_UP_LIMIT_S)
        return EXIT_FAILED
    finally:
        stopping.cancel()
        watching.cancel()
        letting_go.cancel()
    return code


if __name__ == "__main__":
    main()
