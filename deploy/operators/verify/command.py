"""`talklog verify`: read the whole log and Postgres, and name every broken rule with its cursor.

The order of the questions matters in a running system. First the snapshot of Postgres: its rows
are the fold at its positions. Then the workers' committed offsets, then the ends of the topics:
whatever was committed before has its terminal before that end.

Exit codes: 0 no rule is broken, 1 some are, or it could not be found out, 2 settings.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from typing import Annotated

import typer

from deploy.operators.tooling.installation import Installation, NoInstallation, find
from deploy.operators.tooling.leaving import leave
from deploy.operators.tooling.log_range import LogRanges
from deploy.operators.tooling.since import BadSince, since_ms
from deploy.operators.topics import TopicsUnusable, partitions_of
from deploy.operators.verify.faults import Report
from deploy.operators.verify.reading import Reading, Scope
from deploy.operators.verify.stored_rows import RowsUnavailable, StoredRows
from schemas.log.log_reader import LogUnavailable
from schemas.log.log_scan import RangeTrimmed
from schemas.process.exit_codes import EXIT_SETTINGS
from schemas.topics import SESSION_LOG

_leave = functools.partial(leave, "verify")

EXIT_BROKEN = 1


def verify(
    since: Annotated[
        str, typer.Option(help="only what is not older: 90s, 15m, 2h, 7d, or a moment")
    ] = "",
    older_than_m: Annotated[
        float, typer.Option(min=0, help="minutes that an accepted message may be without its end")
    ] = 15.0,
) -> None:
    """Hold the log and Postgres to every rule."""
    now_ms = int(time.time() * 1000)
    try:
        scope = Scope(since_ms(since, now_ms) if since else 0, now_ms, int(older_than_m * 60_000))
        report = asyncio.run(_verify(find(os.environ), scope))
    except (NoInstallation, BadSince) as error:
        _leave(str(error), EXIT_SETTINGS)
    except (LogUnavailable, RangeTrimmed, RowsUnavailable, TopicsUnusable) as error:
        _leave(str(error), EXIT_BROKEN)
    else:
        for fault in report.listed:
            print(fault)
        for line in summary(report):
            print(line)
        if not report.clean:
            raise typer.Exit(EXIT_BROKEN)


def summary(report: Report) -> list[str]:
    """Give what was seen, and what is broken, in a few lines."""
    listed = {kind: sum(fault.kind is kind for fault in report.listed) for kind in report.found}
    lines = [f"{count:>9,} {what}" for what, count in report.counted.items() if count]
    for kind, count in report.found.items():
        more = f" ({listed[kind]} listed)" if listed[kind] < count else ""
        lines.append(f"{count:>9,} x {kind.name}: {kind.value}{more}")
    return [*lines, "no rule is broken" if report.clean else "rules are broken"]


async def _verify(installation: Installation, scope: Scope) -> Report:
    kafka, epoch = installation.need_kafka(), installation.need_epoch()
    dsn = installation.need_postgres()
    shards = await partitions_of(kafka, SESSION_LOG)
    rows = await asyncio.to_thread(StoredRows, dsn)
    try:
        async with LogRanges(kafka) as log:
            return await Reading(log, rows, kafka, epoch, shards, scope).run()
    finally:
        rows.close()
