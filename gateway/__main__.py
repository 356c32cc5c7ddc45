"""`python -m gateway`: one process, one core; start as many as there are cores, on any ports."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

import structlog
import uvloop

from gateway.canary.canary import Canary, Send
from gateway.feed.followers import Followers
from gateway.feed.tail import Tail
from gateway.identity.fetching import shown
from gateway.open_files import room_for_sockets
from gateway.parts import Gateway
from gateway.settings import GatewaySettings
from gateway.socket.server import ChatServer
from schemas.log.log_reader import LogRefused, LogUnavailable
from schemas.log.producer import LogProducer
from schemas.log.topic_check import TopicUnusable, check_topics
from schemas.process import garbage
from schemas.process.admin_port import AdminPort
from schemas.process.connections import is_loopback
from schemas.process.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from schemas.process.logs import configure
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

log = structlog.get_logger("gateway")

START_TRIES = 30
START_RETRY_S = 1.0
LINGER_MS = 1


class StartFailed(Exception):
    """The gateway can't serve; the text says why."""


def main() -> int:
    """Run until a signal; give the exit code."""
    try:
        settings = load(GatewaySettings, os.environ)
    except SettingsError as error:
        exit_with(error)
    configure(settings.log_level, settings.log_format)
    # The library logs a line for each connection that opens and closes; counters say the same.
    logging.getLogger("websockets").setLevel(logging.WARNING)
    code = EXIT_FAILED
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        LoopWatchdog(
            runner.get_loop(),
            log_s=settings.loop_blocked_log_s,
            limit_s=settings.stall_limit_s,
        ),
    ):
        try:
            code = runner.run(_run(settings))
        except* StartFailed:
            pass  # said where it was found: what is still to be closed may not end
        except* Exception as failures:
            log.error("failed", exc_info=failures)
    return code


async def _run(settings: GatewaySettings) -> int:
    leaving = Exit()
    longest_s = settings.drain_delay_s + settings.grace_s + STOP_MARGIN_S
    stopped_by = _signals(lambda: leaving.within(longest_s, EXIT_FAILED))
    producer = LogProducer(settings.brokers(), linger_ms=LINGER_MS)
    canary = Canary(settings.shards, settings.canary_every_s)
    followers = Followers(settings.epoch, canary.session_id)
    try:
        tail = await unless_stopped(stopped_by, _started(settings, followers))
    except StoppedFirst:
        leaving.within(CLOSE_LIMIT_S, _code(stopped_by))
        return _code(stopped_by)
    gateway = Gateway(settings, producer, canary, followers, tail)
    producer.begin()
    async with contextlib.aclosing(producer), asyncio.TaskGroup() as tasks:
        server = gateway.server(tasks)
        services = [tasks.create_task(part) for part in gateway.parts(server)]
        gateway.show()
        try:
            way = gateway.canary_way()
            await _serve_until(stopped_by, settings, server, canary, way, tail)
        except BaseException:
            # A part that does not end when it is cancelled is not waited for.
            leaving.within(CLOSE_LIMIT_S, EXIT_FAILED)
            raise
        # Every client was sent away and every accepted message is in the log: nothing can be lost.
        leaving.within(CLOSE_LIMIT_S, _code(stopped_by))
        for service in services:
            service.cancel()
    await gateway.close()
    return _code(stopped_by)


def _code(stopped_by: "asyncio.Future[signal.Signals]") -> int:
    return EXIT_INTERRUPTED if stopped_by.result() is signal.SIGINT else 0


async def _serve_until(
    stopped_by: "asyncio.Future[signal.Signals]",
    settings: GatewaySettings,
    server: ChatServer,
    canary: Canary,
    way: Send,
    tail: Tail,
) -> None:
    admin = AdminPort(
        settings.admin_port, server.not_ready, server.failing, host=settings.admin_host
    )
    try:
        host, port = await server.start()
        await admin.start()
    except OSError as error:
        raise start_failed(f"can't listen: {error}") from error
    garbage.settle()
    _warn(settings)
    log.info("ready", url=f"http://{settings.host}:{port}/", epoch=settings.epoch)
    async with canary.beating(host, port, way, is_dead=tail.is_dead):
        reason = await stopped_by
        log.info("stopping", signal=reason.name)
        # Who is sent away comes back at once, and must not be sent here again: balancers first.
        server.draining = True
        await asyncio.sleep(settings.drain_delay_s)
    await server.drain(settings.grace_s)
    await admin.stop()


def _warn(settings: GatewaySettings) -> None:
    """Say what is allowed, and seldom meant."""
    if settings.auth == "jwt" and not settings.audiences():
        log.warning(
            "tokens that these keys sign for other services are taken: TALKLOG_JWT_AUDIENCE"
        )
    room = room_for_sockets()
    if 0 < room < settings.connections:
        log.warning("fewer files may be open than TALKLOG_CONNECTIONS has sockets", room=room)
    places = {"jwt": settings.key_sets(), "hook": [settings.hook_url]}
    for place in places.get(settings.auth, []):
        url = urlsplit(place)
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            log.warning("what comes without TLS can be changed on its way", place=shown(place))


async def _started(settings: GatewaySettings, followers: Followers) -> Tail:
    """Connect to the log; a broker that is still starting is waited for."""
    reason = ""
    for _ in range(START_TRIES):
        tail = Tail(
            settings.brokers(),
            settings.shards,
            followers,
            stall_limit_s=settings.stall_limit_s,
            budget_bytes=settings.shard_log_bytes,
        )
        try:
            await check_topics(settings.brokers(), (USER_MESSAGES, SESSION_LOG))
            await tail.start()
        except LogUnavailable as error:
            silent = f"no broker answers at TALKLOG_KAFKA={settings.kafka}"
            reason = str(error) if isinstance(error, TopicUnusable | LogRefused) else silent
            log.warning("the log can't be used yet", kafka=settings.kafka, reason=str(error))
            await tail.stop()
            await asyncio.sleep(START_RETRY_S)
            continue
        except asyncio.CancelledError:
            await tail.stop()
            raise
        return tail
    raise start_failed(reason)


def start_failed(reason: str) -> StartFailed:
    """Say why the gateway can't start, and give what ends it."""
    log.error("start failed", reason=reason)
    return StartFailed(reason)


def _signals(asked: Callable[[], None]) -> "asyncio.Future[signal.Signals]":
    """Give what will hold the first SIGTERM or SIGINT; `asked` is called when it comes."""
    loop = asyncio.get_running_loop()
    stopped_by: asyncio.Future[signal.Signals] = loop.create_future()

    def stop(number: signal.Signals) -> None:
        if not stopped_by.done():
            stopped_by.set_result(number)
            asked()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopped_by


if __name__ == "__main__":
    sys.exit(main())
