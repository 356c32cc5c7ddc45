"""Writes the session log as a worker would, and reads what gateways publish."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from schemas.events import (
    Chunk,
    Complete,
    Event,
    Prompt,
    Status,
    UserEvent,
    decode_user_event,
    encode,
)
from schemas.log.log_reader import LogReader
from schemas.log.log_scan import LogScanner
from schemas.topics import SESSION_LOG, USER_MESSAGES, shard_of

SHARDS = 8
AT = "2026-01-01T00:00:00.000Z"


class Writer:
    """Appends events to `ai_response_chunks`."""

    def __init__(self, producer: AIOKafkaProducer, epoch: int, shards: int = SHARDS) -> None:
        self._producer = producer
        self._epoch = epoch
        self._shards = shards

    async def put(self, *events: Event) -> int:
        """Append the events of one session, acknowledged; give the last one's offset."""
        return await self.put_raw(events[0].session_id, *(encode(event) for event in events))

    async def put_raw(self, session_id: str, *values: bytes) -> int:
        """Append records with these very values."""
        shard = shard_of(session_id, self._shards)
        sent = [
            await self._producer.send(SESSION_LOG, value, session_id.encode(), partition=shard)
            for value in values
        ]
        done = await asyncio.gather(*sent)
        return int(done[-1].offset)

    async def answer(
        self, session_id: str, message_id: str, pieces: list[str], attempt: str = "a1"
    ) -> int:
        """Write a whole answer."""
        events = [start(session_id, message_id, attempt)]
        events += chunks(session_id, message_id, pieces, attempt)
        return await self.put(*events, complete(session_id, message_id, len(pieces), attempt))

    def cursor(self, session_id: str, offset: int) -> str:
        return f"{self._epoch}.{shard_of(session_id, self._shards)}.{offset}"


@asynccontextmanager
async def open_writer(kafka: str, epoch: int, shards: int = SHARDS) -> AsyncIterator[Writer]:
    """A writer for as long as the block lasts."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, acks="all", request_timeout_ms=5000
    )
    await producer.start()
    try:
        yield Writer(producer, epoch, shards)
    finally:
        await producer.stop()


def start(session_id: str, message_id: str, attempt: str = "a1", fence: int = 1) -> Event:
    return Status(
        session_id=session_id,
        message_id=message_id,
        created_at=AT,
        state="generating",
        attempt=attempt,
        fence=(1, fence, 0),
        prompt=Prompt(content=f"prompt of {message_id}", created_at=AT),
        model="m",
        worker="w",
    )


def chunks(
    session_id: str, message_id: str, pieces: list[str], attempt: str = "a1", first: int = 1
) -> list[Event]:
    return [
        Chunk(
            session_id=session_id,
            message_id=message_id,
            created_at=AT,
            attempt=attempt,
            sequence=sequence,
            content=piece,
        )
        for sequence, piece in enumerate(pieces, first)
    ]


def complete(session_id: str, message_id: str, last: int, attempt: str | None = "a1") -> Event:
    return Complete(
        session_id=session_id,
        message_id=message_id,
        created_at=AT,
        attempt=attempt,
        last_sequence=last,
        finish_reason="stop",
    )


async def published(kafka: str, session_id: str) -> list[UserEvent]:
    """What is in `user_messages` of a session, now."""
    shard = shard_of(session_id, SHARDS)
    reader = LogReader(kafka, USER_MESSAGES, SHARDS, on_records=_ignore, on_gap=_ignore)
    scanner = LogScanner(kafka, USER_MESSAGES, SHARDS)
    await reader.start()
    try:
        first = (await reader.start_offsets([shard]))[shard]
        end = await reader.end_offset(shard)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(scanner.run())
            log = await scanner.scan(shard, first, end)
            serving.cancel()
    finally:
        await reader.stop()
    events = [decode_user_event(record.value) for record in log.read(session_id, log.start)]
    return [event for event in events if event is not None]


def _ignore(*_: object) -> None:
    pass
