"""Lets rows leave that are older than they are to be kept (TALKLOG_KEEP_DAYS).

A message leaves as a whole: what was said, its answer, and the pieces of it. Only when it ended so
long ago, and when the log holds no record any more that names it. So whoever reads rows and log
together (a snapshot, `verify`, `rebuild`) never finds one without the other; and what has not ended
stays, however old it is.

It goes on beside the writing, over a connection of its own, one short transaction after the other
with rests in between; of several processes one at a time. It may be killed anywhere, and whatever
fails is tried at the next look: rows that stay a little longer hurt nobody.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta

import psycopg
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from persister import metrics
from persister.old_rows import FIRST, Old, OldRows, Starts
from persister.settings import PersisterSettings
from schemas.brokers import Kafka
from schemas.log.kafka_client import Admin
from schemas.log.log_reader import (
    CLIENT_TIMEOUT_S,
    START_TIMEOUT_S,
    LogUnavailable,
    answered,
    consumer,
    offsets_of,
    stopped,
)
from schemas.log.topic_check import described
from schemas.topics import SESSION_LOG, USER_MESSAGES

BATCH_WITHIN_S = 30.0
CLOSE_WITHIN_S = 2.0
RESTS = 4
"""So many times longer than a batch took it rests: Postgres is the writer's most of the time."""
REST_S = 0.02
"""But never shorter than this."""
DAY_MS = 24 * 3600 * 1000

log = structlog.get_logger(__name__)


class Retention:
    """Looks for old rows again and again; `run` ends when it is cancelled."""

    def __init__(self, settings: PersisterSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._keep = timedelta(days=settings.keep_days)
        self._clock = clock

    async def run(self) -> None:
        """Let old rows leave, if any are to."""
        if not self._settings.keep_days:
            return
        await self._tried("topics unknown", self._tell_what_never_leaves)
        while True:
            await self._tried("rows stay for now", self.look)
            await asyncio.sleep(self._settings.keep_look_every_s)

    async def look(self) -> None:
        """Go once through all that is old.

        Raises:
            LogUnavailable: it is not known where the log begins.
            psycopg.Error, OSError, TimeoutError: Postgres is away, or a row was held by others.
        """
        starts = await _starts(self._settings.brokers(), self._settings.shards)
        before = datetime.fromtimestamp(self._clock(), UTC) - self._keep
        old = Old(before, self._settings.epoch, starts)
        rows = await OldRows.connected(self._settings.postgres_dsn, pooled=self._settings.pooled)
        try:
            await self._remove(rows, old)
            oldest_s = await asyncio.wait_for(rows.oldest_s(), BATCH_WITHIN_S)
            metrics.OLDEST_KEPT_S.set(oldest_s or 0)
        finally:
            with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                await asyncio.wait_for(rows.close(), CLOSE_WITHIN_S)

    async def _remove(self, rows: OldRows, old: Old) -> None:
        after, gone = FIRST, 0
        while True:
            began = time.monotonic()
            removed = await asyncio.wait_for(rows.remove(old, after), BATCH_WITHIN_S)
            if removed is None:
                return  # another process is at it
            for table, count in removed.rows.items():
                metrics.ROWS_REMOVED.labels(table).inc(count)
            gone += removed.rows.get("user_messages", 0)
            if removed.next is None:
                break
            after = removed.next
            await asyncio.sleep(max(REST_S, RESTS * (time.monotonic() - began)))
        if gone:
            log.info("old messages have left", count=gone, before=old.before.isoformat())

    async def _tell_what_never_leaves(self) -> None:
        """Say which topics keep records for longer than rows are to be kept: so long do rows stay.

        Raises LogUnavailable.
        """
        days = self._settings.keep_days
        for topic, retention_ms in await _kept_by(self._settings.brokers()):
            if retention_ms < 0:
                kept = "for ever"
            elif retention_ms > days * DAY_MS:
                kept = f"for {retention_ms / DAY_MS:g} days"
            else:
                continue
            why = f"{topic} keeps its records {kept}, and no row leaves before its records"
            log.warning("rows are kept for longer than is set", TALKLOG_KEEP_DAYS=days, why=why)

    async def _tried(self, event: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (psycopg.Error, LogUnavailable, KafkaError, OSError, TimeoutError) as error:
            log.warning(event, error=f"{type(error).__name__}: {error}".splitlines()[0])
        except Exception:
            # Rows that stay are no reason to end what writes others.
            log.exception(event)


async def _starts(kafka: Kafka, shards: int) -> list[Starts]:
    """Ask where the log begins now: it never begins earlier. Raises LogUnavailable."""
    client = consumer(kafka)
    try:
        await answered(client.start(), START_TIMEOUT_S)
        topics = (USER_MESSAGES, SESSION_LOG)
        every = [TopicPartition(topic, shard) for topic in topics for shard in range(shards)]
        found = await offsets_of(client, every, "starts")
    finally:
        await stopped(client, CLOSE_WITHIN_S)
    return [
        Starts(shard, *(found[TopicPartition(topic, shard)] for topic in topics))
        for shard in range(shards)
        if all(TopicPartition(topic, shard) in found for topic in topics)
    ]


async def _kept_by(kafka: Kafka) -> Iterable[tuple[str, int]]:
    """Ask for how long the topics keep their records, in milliseconds. Raises LogUnavailable."""
    admin = Admin(kafka, request_timeout_ms=int(CLIENT_TIMEOUT_S * 1000))
    try:
        await answered(admin.start(), CLIENT_TIMEOUT_S)
        found = [
            (topic, await answered(described(admin, topic), CLIENT_TIMEOUT_S))
            for topic in (USER_MESSAGES, SESSION_LOG)
        ]
    finally:
        with contextlib.suppress(LogUnavailable, KafkaError):
            await answered(admin.close())
    return [(topic, int(each.config.get("retention.ms", "0"))) for topic, each in found]
