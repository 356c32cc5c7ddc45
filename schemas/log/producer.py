"""Writes to the log: one idempotent producer, made anew after any failed send.

A failed send means that its outcome is unknown, and with aiokafka also that every later send to
that partition may be refused: its sequence number is spent. So the producer that failed is thrown
away with all that it had under way, and the next send gets another.
"""

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.limits import SEND_TIMEOUT_S
from schemas.topics import HEADERS

START_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0

Headers = list[tuple[str, bytes]]


class SendFailed(Exception):
    """Not acknowledged in time, or refused: the record may be in the log, or appear there later."""


class LogProducer:
    """Use within `async with`. `on_failed` is told of every failed send (for metrics)."""

    def __init__(
        self, bootstrap: str, *, linger_ms: int, on_failed: Callable[[], None] = lambda: None
    ) -> None:
        self._bootstrap = bootstrap
        self._linger_ms = linger_ms
        self._on_failed = on_failed
        self._producer: AIOKafkaProducer | None = None
        self._making = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "LogProducer":
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._current()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None:
            self._throw_away(self._producer)
        if self._closing:
            # Nobody waits for a send any more: what is still under way may land, or not.
            await asyncio.wait(self._closing, timeout=CLOSE_TIMEOUT_S)

    async def send(
        self,
        topic: str,
        shard: int | None,
        key: bytes | None,
        value: bytes,
        headers: Headers | None = None,
    ) -> int:
        """Write one record and wait for the broker; gives its offset.

        Raises:
            SendFailed: after the send time-out at the latest.
        """
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                producer = self._producer or await self._current()
                sent = await producer.send(
                    topic,
                    value,
                    key=key,
                    partition=shard,
                    headers=list(HEADERS) if headers is None else headers,
                )
                return int((await sent).offset)
        except (KafkaError, TimeoutError, OSError) as error:
            self._on_failed()
            if producer is not None:
                self._throw_away(producer)
            raise SendFailed(f"{type(error).__name__}: {error}") from error

    async def _current(self) -> AIOKafkaProducer:
        async with self._making:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap.split(","),
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=self._linger_ms,
                    request_timeout_ms=int(SEND_TIMEOUT_S * 1000),
                    retry_backoff_ms=100,
                )
                try:
                    await producer.start()
                except BaseException:
                    self._close(producer)
                    raise
                self._producer = producer
            return self._producer

    def _throw_away(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            self._close(producer)

    def _close(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.ensure_future(_stop(producer))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _stop(producer: AIOKafkaProducer) -> None:
    # A stop flushes first, and may wait for ever for a broker that is gone.
    try:
        await asyncio.wait_for(producer.stop(), SEND_TIMEOUT_S)
    except (TimeoutError, KafkaError, OSError):
        return
