"""`talklog lag-exporter`: what `talklog lag` sees, as metrics, for alerts and for scaling.

One process for an installation. It looks every few seconds, over connections that it keeps, and
shows the last two looks on its admin port. While Kafka does not answer it shows nothing but that:
an old figure would look like a reader that is well.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import structlog
import typer
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deploy.operators.lag import report
from deploy.operators.lag.sample import Sample
from schemas.log.log_reader import LogUnavailable
from schemas.process.admin_port import AdminPort
from schemas.process.connections import Connections
from schemas.process.logs import configure
from schemas.process.settings import SettingsError, exit_with, load
from schemas.process.stopping import GIVE_UP_LIMIT_S

AGAIN_S = 2.0
FIRST_S = 1.0
"""Between the first two looks, so that there is soon something to show."""
OF_A_SHARD = ("group", "topic", "shard")

log = structlog.get_logger("lag-exporter")


class LagMetrics(Collector):
    """The last two samples as metrics."""

    def __init__(self) -> None:
        self._seen: tuple[Sample, Sample] | None = None
        self._why = "no look has ended yet"

    def show(self, before: Sample, after: Sample) -> None:
        """Show what two looks saw."""
        self._seen, self._why = (before, after), ""

    def forget(self, why: str) -> None:
        """Show nothing any more but that Kafka does not answer."""
        self._seen, self._why = None, why

    def failing(self) -> Sequence[str]:
        """Say why nothing is shown, if so."""
        return [self._why] if self._why else []

    def collect(self) -> Iterator[Metric]:
        """Give every family, with no figure where nothing was seen."""
        up = 1 if self._seen else 0
        yield GaugeMetricFamily("talklog_lag_up", "1 if Kafka answered the last look", value=up)
        records = _by_shard("records", "Records that wait for the group")
        seconds = _by_shard("seconds", "How long the oldest record that waits has waited")
        health = _by_shard("health", "0 healthy, 1 warning, 2 broken, as `talklog lag` judges")
        processes = GaugeMetricFamily(
            "talklog_lag_processes", "Processes of the group", labels=["group"]
        )
        unseen = GaugeMetricFamily("talklog_lag_unseen", "Parts that did not answer the last look")
        if self._seen:
            before, after = self._seen
            for shard, verdict in report.verdicts(before, after).items():
                labels = (shard.group, shard.topic, str(shard.shard))
                records.add_metric(labels, after.shards[shard].records)
                seconds.add_metric(labels, after.seconds(shard))
                health.add_metric(labels, verdict.health)
            for group, count in after.members.items():
                processes.add_metric([group], count)
            unseen.add_metric([], len(after.notes))
        yield from (records, seconds, health, processes, unseen)


def lag_exporter(
    every_s: Annotated[float, typer.Option("--every", min=1.0, help="a look so often (s)")] = 5.0,
) -> None:
    """Show the lag of workers and persisters as metrics on TALKLOG_ADMIN_PORT."""
    try:
        settings = load(Connections, os.environ)
        if not settings.admin_port:
            raise SettingsError(["TALKLOG_ADMIN_PORT: required, for it shows nothing elsewhere"])
    except SettingsError as error:
        exit_with(error)
    configure(settings.log_level, settings.log_format)
    asyncio.run(_export(settings, every_s))


async def _export(settings: Connections, every_s: float) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    metrics = LagMetrics()
    REGISTRY.register(metrics)
    # It is ready whatever it sees: that Kafka is away is what it is there to show.
    admin = AdminPort(settings.admin_port, lambda: None, metrics.failing, host=settings.admin_host)
    await admin.start()
    looking = asyncio.create_task(_look(settings, metrics, every_s))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({looking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if looking.done():
            looking.result()
    finally:
        stopping.cancel()
        looking.cancel()
        # It closes its connections; a broker that stands still is not waited for.
        await asyncio.wait({looking}, timeout=GIVE_UP_LIMIT_S)
        await admin.stop()


async def _look(settings: Connections, metrics: LagMetrics, every_s: float) -> None:
    from deploy.operators.lag.offsets import watching

    while True:
        try:
            async with watching(
                settings.brokers(), settings.postgres_dsn, settings.epoch
            ) as watcher:
                before, pause_s = await watcher.sample(_now_ms()), FIRST_S
                while True:
                    await asyncio.sleep(pause_s)
                    after = await watcher.sample(_now_ms())
                    metrics.show(before, after)
                    before, pause_s = after, every_s
        except LogUnavailable as error:
            metrics.forget(f"Kafka: {error}")
            log.warning("nothing can be seen", error=str(error))
        await asyncio.sleep(AGAIN_S)


def _by_shard(name: str, what: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"talklog_lag_{name}", what, labels=OF_A_SHARD)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
