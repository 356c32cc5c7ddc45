"""`talklog run`: the stack in the foreground, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping

from deploy.local import proof
from deploy.local.epoch import UnknownEpoch
from deploy.local.kept import OtherShape
from deploy.local.layout import PortTaken
from deploy.local.lock import RunsAlready
from deploy.local.ports import NoFreePort
from deploy.local.program import StartFailed
from deploy.local.settings import StackSettings
from deploy.local.stack import NoRoom, Stack
from deploy.operators.migrate import MigrationFailed
from deploy.operators.tooling.minting import SECRET, CantMint, minted
from deploy.operators.topics import TopicsUnusable
from schemas.process.exit_codes import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_RUNS_ALREADY,
    EXIT_SETTINGS,
)
from schemas.process.settings import FILE

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# From `talklog start`: start again what is dead (with RESTART=0 nothing else does).
START_SIGNAL = signal.SIGUSR1
SETTINGS_ERRORS = (UnknownEpoch, OtherShape, CantMint)
PROOF_TOKEN_S = 600.0
CLEAR_ERRORS = (
    *SETTINGS_ERRORS,
    StartFailed,
    PortTaken,
    NoRoom,
    NoFreePort,
    proof.ProofFailed,
    TopicsUnusable,
    MigrationFailed,
    OSError,
)


def say(line: str) -> None:
    """Print a line; a reader that has gone away does not take the stack with it."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


def run(
    settings: StackSettings, *, servers_only: bool, environment: Mapping[str, str] = os.environ
) -> int:
    """Run the stack until it is told to stop; the exit code."""
    stack = Stack(settings, servers_only=servers_only, environment=environment, say=say)
    try:
        return asyncio.run(_run(stack, environment, prove=not servers_only))
    except RunsAlready as error:
        say(str(error))
        return EXIT_RUNS_ALREADY


async def _run(stack: Stack, environment: Mapping[str, str], *, prove: bool) -> int:
    told: list[signal.Signals] = []
    stopping = asyncio.Event()
    life = asyncio.ensure_future(_live(stack, environment, stopping, prove=prove))

    def on_signal(number: signal.Signals) -> None:
        told.append(number)
        if len(told) == 1:
            say("stopping (once more: kill)")
            stopping.set()
            if not stack.up:
                life.cancel()  # in the middle of the start: out by way of its own clean-up
        else:
            stack.kill()

    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    loop.add_signal_handler(START_SIGNAL, stack.start_dead)
    try:
        code = await life
    except asyncio.CancelledError:
        code = 0
    if told:
        say("stopped, nothing is left running")
    return EXIT_INTERRUPTED if told[:1] == [signal.SIGINT] else code


async def _live(
    stack: Stack, environment: Mapping[str, str], stopping: asyncio.Event, *, prove: bool
) -> int:
    served = prove
    prove = served and _lets_us_in(environment)
    try:
        token = _token(environment) if prove else None  # what can't be is said before all starts
        async with stack:
            if prove:
                say("all is up; sending one message through it")
                took_s = await proof.prove(stack.file, token=token)
                say(f"its first words came back in {took_s:.1f} s")
            stack.set_ready()
            for line in ready_lines(stack, proven=prove) if served else servers_lines(stack):
                say(line)
            if token is not None:
                say("  #token=… behind it; `talklog token` makes one")
            await stopping.wait()
    except CLEAR_ERRORS as error:
        say(f"failed: {error}")
        return EXIT_SETTINGS if isinstance(error, SETTINGS_ERRORS) else EXIT_FAILED
    return 0


def _lets_us_in(environment: Mapping[str, str]) -> bool:
    """Whether a message of our own can be sent: a hook, or the owner of keys, knows us not."""
    auth = environment.get("TALKLOG_AUTH") or "none"
    secret = environment.get(SECRET) or environment.get(SECRET + FILE)
    return auth == "none" or (auth == "jwt" and bool(secret))


def _token(environment: Mapping[str, str]) -> str | None:
    """Give what the proof needs to be let in. Raises CantMint."""
    if environment.get("TALKLOG_AUTH") != "jwt":
        return None
    return minted(
        environment,
        subject=proof.SESSION,
        sessions=[proof.SESSION],
        verbs=[],
        now_s=time.time(),
        lasts_s=PROOF_TOKEN_S,
    )


def ready_lines(stack: Stack, *, proven: bool) -> list[str]:
    """What is said when everything works."""
    unproven = "ready; no message was sent through it, for nobody lets us in (TALKLOG_AUTH)"
    return [
        "ready: a message went through all of it" if proven else unproven,
        *(f"  {_for_people(g.url)}" for g in stack.file.gateways),
    ]


def servers_lines(stack: Stack) -> list[str]:
    """What is said when there are only servers: where they are."""
    file = stack.file
    return [
        "ready; the servers:",
        f"  TALKLOG_KAFKA={file.kafka}",
        *(f"  {name}={value}" for name, value in (file.kafka_way_in or {}).items()),
        f"  TALKLOG_REDIS_URL={file.redis}",
        f"  TALKLOG_POSTGRES_DSN={file.postgres}",
        f"  TALKLOG_EPOCH={stack.epoch}",
        f"  TALKLOG_SHARDS={stack.settings.shards}",
    ]


def _for_people(url: str) -> str:
    """The address as people type it; a browser also allows more on localhost."""
    return url.replace("//127.0.0.1:", "//localhost:") + "/"
