"""`talklog lag`: two samples, what they say, and an exit code for scripts.

0 healthy, 1 warning, 2 broken; also 2 if Kafka does not answer: nothing can be read then.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from enum import Enum
from typing import Annotated

import typer

from deploy.operators.lag import report
from deploy.operators.lag.sample import Sample
from deploy.operators.lag.verdict import Health
from deploy.operators.tooling.installation import Installation, NoInstallation, find
from schemas.process.exit_codes import EXIT_INTERRUPTED, EXIT_SETTINGS

BETWEEN_S = 1.0
WATCH_EVERY_S = 2.0


class Format(Enum):
    """How it is printed."""

    text = "text"
    json = "json"


def lag(
    form: Annotated[Format, typer.Option("--format", help="json: one object")] = Format.text,
    watch: Annotated[bool, typer.Option("--watch", help="again every 2 s, until Ctrl-C")] = False,
    every: Annotated[bool, typer.Option("--all", help="also shards that are caught up")] = False,
) -> None:
    """Show how far workers and persister are behind the log, in records and in seconds."""
    from schemas.log.log_reader import LogUnavailable

    try:
        health = asyncio.run(_look(find(os.environ), form, watch=watch, every=every))
    except NoInstallation as error:
        print(*(f"lag: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        raise typer.Exit(EXIT_SETTINGS) from None
    except LogUnavailable as error:
        print(f"lag: Kafka: {error}", file=sys.stderr)
        raise typer.Exit(Health.BROKEN) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    raise typer.Exit(health)


async def _look(installation: Installation, form: Format, *, watch: bool, every: bool) -> Health:
    from deploy.operators.lag.offsets import watching

    async with watching(
        installation.need_kafka(), installation.postgres, installation.epoch
    ) as watcher:
        before = await watcher.sample(_now_ms())
        while True:
            # The pace is what lies between two samples.
            await asyncio.sleep(WATCH_EVERY_S if watch else BETWEEN_S)
            after = await watcher.sample(_now_ms())
            _print(before, after, form, clear=watch and sys.stdout.isatty(), every=every)
            if not watch:
                return report.health(before, after)
            before = after


def _print(before: Sample, after: Sample, form: Format, *, clear: bool, every: bool) -> None:
    if form is Format.json:
        print(json.dumps(report.as_json(before, after)), flush=True)
        return
    if clear:
        print("\033[H\033[2J", end="")
    print(*report.as_text(before, after, every=every), sep="\n", flush=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
