"""Writes to the log: the one idempotent producer of every tier, made anew after any failed send.

`send` returns when the broker has acknowledged: durable before visible. A send that failed may be
in the log all the same, or come into it later, so its outcome is unknown, and with aiokafka every
later send to that partition would be refused: the sequence number is spent. Therefore the producer
that failed is thrown away with all that it had under way, and the next one is made at once.

Nobody waits for the old one. aiokafka's `stop()` flushes first, for ever where a broker is gone,
and if it is cancelled its sender task and its sockets live on. So there is one place that ends a
producer, in the background, to the end (`_ended`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

from schemas.brokers import Kafka
from schemas.limits import SEND_TIMEOUT_S
from schemas.log.kafka_client import Producer
from schemas.topics import HEADERS, MAX_RECORD_BYTES, Entry
from schemas.topics import Headers as Headers  # callers of `send` name it

log = structlog.get_logger(__name__)

START_TIMEOUT_S = 10.0
START_AGAIN_S = 0.5
CLOSE_TIMEOUT_S = 1.0
REQUEST_MAX_BYTES = MAX_RECORD_BYTES + 16 * 1024
"""A dead letter is a record of the full size with more headers."""
BATCH_MAX_BYTES = MAX_RECORD_BYTES // 2
"""A batch of several records is no larger: the topic's bound is for the whole of it."""
_LOG_APPEND_TIME = 1
ENDING_MAX = 8
"""So many producers may be on their way out; the next one is made when one of them has gone."""


class SendFailed(Exception):
    """Not acknowledged in time, or refused: the record may be in the log, or appear there later."""


class LogProducer:
    """Enter it to wait for a first connection, or `begin` and be ready when there is one.

    `on_failed` is told of every failed send (for metrics), `on_appended` of the log-append time of
    every record that is acknowledged, at that moment.
    """

    def __init__(
        self,
        kafka: Kafka,
        *,
        linger_ms: int,
        send_timeout_s: float = SEND_TIMEOUT_S,
        on_failed: Callable[[], None] = lambda: None,
        on_appended: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.replaced = 0
        """How many producers have been thrown away after a failed send."""
        self._kafka = kafka
        self._linger_ms = linger_ms
        self._send_timeout_s = send_timeout_s
        self._on_failed = on_failed
        self._on_appended = on_appended
        self._closed = False
        self._producer: AIOKafkaProducer | None = None
        self._making: asyncio.Task[AIOKafkaProducer] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Connect. Raises KafkaError, or TimeoutError after START_TIMEOUT_S."""
        self._producer = await self._started()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def begin(self) -> None:
        """Connect in the background, again and again until it succeeds; sends wait for it."""
        if self._producer is None and self._making is None and not self._closed:
            self._making = asyncio.create_task(self._make())

    async def aclose(self) -> None:
        """Send no more, and disconnect, for at most CLOSE_TIMEOUT_S.

        Nobody waits for a send any more: what is still under way may land, or not.
        """
        self._closed = True
        making, self._making = self._making, None
        if making is not None:
            making.cancel()
            await asyncio.wait({making}, timeout=CLOSE_TIMEOUT_S)
        if self._producer is not None:
            self._throw_away(self._producer)
        if self._ending:
            await asyncio.wait(self._ending, timeout=CLOSE_TIMEOUT_S)

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
        sent = await self._acknowledged(
            lambda producer: producer.send(
                topic,
                value,
                key=key,
                partition=shard,
                headers=list(HEADERS) if headers is None else headers,
            )
        )
        return int(sent.offset)

    async def send_batch(self, topic: str, shard: int, entries: Sequence[Entry]) -> int:
        """Write records of one shard as one batch, in order: all of them, or none that counts.

        Gives the offset of the first.

        Raises:
            SendFailed: after the send time-out at the latest.
            ValueError: they are more than BATCH_MAX_BYTES.
        """

        async def hand_over(producer: AIOKafkaProducer) -> "asyncio.Future[Any]":
            batch = producer.create_batch()
            for key, value, headers in entries:
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    raise ValueError(f"{len(entries)} records are more than {BATCH_MAX_BYTES} B")
            # Closed: no record that is sent by itself joins it.
            batch.close()
            # Its future is shared: who gives up waiting must not cancel it under the sender.
            return asyncio.shield(await producer.send_batch(batch, topic, partition=shard))

        return int((await self._acknowledged(hand_over)).offset)

    async def _acknowledged(
        self, hand_over: Callable[[AIOKafkaProducer], Awaitable["asyncio.Future[Any]"]]
    ) -> Any:
        """Hand something over to the producer and wait for the broker's word on it.

        Everything that is written goes through here. A single record's future is its own, and may
        be cancelled; that of a whole batch is shared, and is shielded.
        """
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(self._send_timeout_s):
                producer = self._producer or await self._made()
                sent = await (await hand_over(producer))
        except (KafkaError, TimeoutError, OSError) as error:
            self._on_failed()
            if producer is not None and producer is self._producer:
                self.replaced += 1
                self._throw_away(producer)
                self.begin()
            raise SendFailed(f"{type(error).__name__}: {error}") from error
        if sent.timestamp_type == _LOG_APPEND_TIME:
            self._on_appended(int(sent.timestamp))
        return sent

    async def _made(self) -> AIOKafkaProducer:
        """Give the producer, once there is one; who gives up waiting does not stop the making."""
        self.begin()
        if (making := self._making) is None:
            raise ProducerClosed
        await asyncio.wait({making})
        if making.cancelled():
            raise ProducerClosed
        return making.result()

    async def _make(self) -> AIOKafkaProducer:
        try:
            while True:
                try:
                    self._producer = await self._started()
                    return self._producer
                except (KafkaError, TimeoutError, OSError) as error:
                    log.warning("no producer, again", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(START_AGAIN_S)
        finally:
            # Whatever ends it: the next send makes another.
            self._making = None

    async def _started(self) -> AIOKafkaProducer:
        while len(self._ending) >= ENDING_MAX:
            await asyncio.wait(self._ending, return_when=asyncio.FIRST_COMPLETED)
        producer = Producer(
            self._kafka,
            acks="all",
            enable_idempotence=True,
            linger_ms=self._linger_ms,
            request_timeout_ms=int(self._send_timeout_s * 1000),
            max_request_size=REQUEST_MAX_BYTES,
            max_batch_size=BATCH_MAX_BYTES,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await producer.start()
        except BaseException:
            self._end(producer)
            raise
        return producer

    def _throw_away(self, producer: AIOKafkaProducer) -> None:
        self._producer = None
        self._end(producer)

    def _end(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.create_task(_ended(producer))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _ended(producer: AIOKafkaProducer) -> None:
    """Stop a producer to the end; what it still holds after the time-out is given up."""
    stop = asyncio.ensure_future(producer.stop())
    try:
        await asyncio.wait({stop}, timeout=SEND_TIMEOUT_S)
        if not stop.done():
            # It waits for every batch. With these ended it goes on: to its tasks and sockets.
            producer._message_accumulator.fail_all(KafkaError("given up"))
            await asyncio.wait({stop}, timeout=2 * SEND_TIMEOUT_S)
        if not stop.done():
            # A request that never ends holds up the sender. The sockets are closed under it.
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                await asyncio.wait_for(producer.client.close(), SEND_TIMEOUT_S)
            await asyncio.wait({stop}, timeout=SEND_TIMEOUT_S)
    finally:
        stop.cancel()
    if stop.done() and not stop.cancelled() and (error := stop.exception()) is not None:
        log.warning("a producer did not stop in order", error=f"{type(error).__name__}: {error}")
