"""Publishes to Kafka, durable before visible: `publish` returns when the broker has acknowledged.

After one failed send of an idempotent producer every later send to that partition fails too (its
sequence number is spent), so a producer that has failed once is replaced. A send that failed may
still be in the log, or come into it later: its outcome is unknown, and it is never called failed.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.limits import SEND_TIMEOUT_S
from schemas.topics import HEADERS

log = logging.getLogger(__name__)

LINGER_MS = 1
START_TIMEOUT_S = 30.0
RETRY_S = 0.5


class OutcomeUnknown(Exception):
    """The broker did not acknowledge in time: the record may be in the log, or come into it."""


class Publisher:
    """Owns the producer while `run` runs."""

    def __init__(self, bootstrap: str, *, timeout_s: float = SEND_TIMEOUT_S) -> None:
        self._bootstrap = bootstrap
        self._timeout_s = timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._ready = asyncio.Event()
        self._broken = asyncio.Event()
        self.replaced = 0

    async def publish(
        self,
        topic: str,
        shard: int,
        key: str,
        value: bytes,
        headers: Sequence[tuple[str, bytes]] = HEADERS,
    ) -> None:
        """Append a record and wait, for at most the time-out, until the broker has acknowledged it.

        Raises:
            OutcomeUnknown: it has not; the record may be in the log all the same.
        """
        producer = None
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._ready.wait()
                producer = self._producer
                assert producer is not None  # noqa: S101 - ready says so
                acknowledgement = await producer.send(
                    topic, value, key.encode(), partition=shard, headers=list(headers)
                )
                acknowledgement.add_done_callback(_noted)
                # The record is not withdrawn by a cancellation, and its batch has other waiters.
                await asyncio.shield(acknowledgement)
        except (TimeoutError, KafkaError, AssertionError) as error:
            self._replace(producer)
            raise OutcomeUnknown(f"{type(error).__name__}: {error}") from error

    async def run(self) -> None:
        """Keep a working producer until cancelled."""
        try:
            while True:
                self._broken.clear()
                self._producer = await self._started()
                self._ready.set()
                await self._broken.wait()
                broken, self._producer = self._producer, None
                self.replaced += 1
                await _stopped(broken)
        finally:
            self._ready.clear()
            if self._producer is not None:
                await _stopped(self._producer)

    def _replace(self, producer: AIOKafkaProducer | None) -> None:
        if producer is not None and producer is self._producer:
            self._ready.clear()
            self._broken.set()

    async def _started(self) -> AIOKafkaProducer:
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap.split(","),
                enable_idempotence=True,
                acks="all",
                linger_ms=LINGER_MS,
                request_timeout_ms=int(self._timeout_s * 1000),
            )
            try:
                await asyncio.wait_for(producer.start(), START_TIMEOUT_S)
            except (TimeoutError, KafkaError) as error:
                log.warning("no producer: %s: %s", type(error).__name__, error)
                await _stopped(producer)
                await asyncio.sleep(RETRY_S)
                continue
            except BaseException:
                await _stopped(producer)
                raise
            return producer


async def _stopped(producer: AIOKafkaProducer) -> None:
    """Close a producer; what it still holds after the time-out is given up."""
    with contextlib.suppress(KafkaError):
        try:
            await asyncio.wait_for(producer.stop(), SEND_TIMEOUT_S)
        except TimeoutError:
            # `stop` waits for every batch, for ever: end them, so that its tasks end too.
            producer._message_accumulator.fail_all(KafkaError("given up"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_closed(producer), SEND_TIMEOUT_S)


async def _closed(producer: AIOKafkaProducer) -> None:
    await producer._sender.close()
    await producer.client.close()


def _noted(acknowledgement: "asyncio.Future[object]") -> None:
    """Take the error of a send that nobody waits for any more."""
    if not acknowledgement.cancelled():
        acknowledgement.exception()
