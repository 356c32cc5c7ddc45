"""Records that can't be stored go to `dead_letters`, as they were, with the reason.

The producer is idempotent and is thrown away after any failed send: aiokafka's would refuse
everything after it. Whoever sends waits for the acknowledgement, because the position moves past
the record next; a crash between the two sends it once more.
"""

import asyncio
import contextlib
from typing import NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from persister.batch import Partition
from persister.reading import LogRecord
from schemas.limits import SEND_TIMEOUT_S
from schemas.log.log_reader import LogUnavailable
from schemas.topics import DEAD_LETTERS, MAX_RECORD_BYTES

CLOSE_TIMEOUT_S = 1.0


class Bad(NamedTuple):
    """A record that can't be stored, and why."""

    partition: Partition
    record: LogRecord
    reason: str
    tries: int


class DeadLetterBox(Protocol):
    """Where bad records go."""

    async def put(self, bad: Bad) -> None:
        """Return when it is safe. Raises LogUnavailable."""


class DeadLetters:
    """The topic; connects when the first bad record comes."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: AIOKafkaProducer | None = None

    async def put(self, bad: Bad) -> None:
        """Write it and wait for the acknowledgement. Raises LogUnavailable."""
        headers = [
            ("topic", bad.partition.topic.encode()),
            ("partition", str(bad.partition.shard).encode()),
            ("offset", str(bad.record.offset).encode()),
            ("reason", bad.reason[:1000].encode(errors="replace")),
            ("tries", str(bad.tries).encode()),
        ]
        try:
            producer = await self._started()
            sent = producer.send_and_wait(
                DEAD_LETTERS, key=bad.record.key, value=bad.record.value, headers=headers
            )
            await asyncio.wait_for(sent, SEND_TIMEOUT_S)
        except (KafkaError, TimeoutError) as error:
            await self.close()
            raise LogUnavailable(f"dead letter: {type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close the connection, for at most a few seconds."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.stop(), CLOSE_TIMEOUT_S)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap.split(","),
                enable_idempotence=True,
                request_timeout_ms=int(SEND_TIMEOUT_S * 1000),
                # A record of the full size, and its headers.
                max_request_size=MAX_RECORD_BYTES + 16 * 1024,
            )
            await asyncio.wait_for(self._producer.start(), SEND_TIMEOUT_S)
        return self._producer
