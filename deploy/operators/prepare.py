"""`talklog make-topics` and `talklog migrate`: what must be there before the first process starts.

Both read the environment of the services, change nothing that is there already, and may run again
at every rollout, several at once. Servers that start at the same time are waited for.

Exit codes: 0 it is as it must be, 1 it is not, or a server did not answer in time, 2 settings.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from schemas.process.connections import Connections
from schemas.process.exit_codes import EXIT_FAILED
from schemas.process.settings import SettingsError, exit_with, load

RETRY_S = 1.0
COPIES = 3
"""Of each partition, where there are as many brokers."""

T = TypeVar("T")
Wait = Annotated[float, typer.Option("--wait", help="so long a server may still be starting (s)")]


def make_topics(
    wait_s: Wait = 60.0,
    replication: Annotated[
        int, typer.Option(min=0, help="copies of each partition; 0: 3, or 1 below three brokers")
    ] = 0,
) -> None:
    """Make the topics that are missing, and say what is not as it should be."""
    from deploy.operators import topics as log

    settings = _settings()

    async def made() -> bool:
        there = await log.brokers_up(settings.brokers())
        copies = replication or (COPIES if there >= COPIES else 1)
        new = await log.make(settings.brokers(), settings.shards, replication=copies)
        for odd in await log.fit(settings.brokers(), settings.shards, new=new):
            print(f"topics: {odd}", file=sys.stderr)
        return new

    new = _once_it_answers("topics", log.TopicsUnusable, lambda: asyncio.run(made()), wait_s)
    print(f"topics: {'made' if new else 'there already'}, {settings.shards} shards")


def migrate(wait_s: Wait = 60.0) -> None:
    """Bring the database to the newest form."""
    from deploy.operators.migrate import MigrationFailed
    from deploy.operators.migrate import migrate as run

    dsn = _settings().postgres_dsn
    names = _once_it_answers("migrate", MigrationFailed, lambda: run(dsn), wait_s)
    print(f"migrate: {', '.join(names) or 'nothing to do'}")


def _settings() -> Connections:
    try:
        return load(Connections, os.environ)
    except SettingsError as error:
        exit_with(error)


def _once_it_answers(
    command: str, failure: type[Exception], work: Callable[[], T], wait_s: float
) -> T:
    """Do it, again while it fails, until `wait_s` are over; then leave with exit code 1."""
    deadline, told = time.monotonic() + wait_s, ""
    while True:
        try:
            return work()
        except failure as error:
            if str(error) != told:
                told = str(error)
                print(f"{command}: {told}", file=sys.stderr)
            if time.monotonic() >= deadline:
                raise typer.Exit(EXIT_FAILED) from None
            time.sleep(RETRY_S)
