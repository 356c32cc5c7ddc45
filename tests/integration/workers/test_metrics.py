"""Every number that a worker exports moves when what it counts happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.events import Chunk, Complete, Event, Prompt, State, Status, UserMessage, encode
from schemas.topics import HEADERS, SESSION_LOG, USER_MESSAGES, shard_of
from tests.integration.moves import Moves
from tests.integration.workers.conversation import AT, SHARDS
from tests.integration.workers.process import Workers
from tests.scripted_model.server import ScriptedModel
from tests.stack import RunningStack
from tests.waiting import POLL_S, WITHIN_S, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

ELSEWHERE = {"history_forgone", "ends_forgone"}
"""Thousands of messages must wait for Redis, or one for a minute: unit tests say when."""
OUTRANKED, OTHER_LIFE = "outranked", "of-another-life"


class Writer:
    """Writes to both topics, what is right and what is not."""

    def __init__(self, servers: RunningStack) -> None:
        self._kafka = servers.file.kafka
        self.epoch = servers.epoch
        self._producer = AIOKafkaProducer(bootstrap_servers=self._kafka)
        self.session = f"moves-{uuid4().hex[:8]}"
        self.shard = shard_of(self.session, SHARDS)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Writer"]:
        async with self._producer:
            yield self

    async def ask(self, *orders: str) -> None:
        for order in orders:
            message_id = f"m-{uuid4().hex[:12]}"
            content = f"[[key={message_id} {order}]]"
            await self.put(USER_MESSAGES, self._asked(message_id, content))

    async def ask_in_another_session(self, orders: str) -> None:
        """Ask in the same shard: it is delivered behind what was asked before."""
        own = self.session
        others = (f"moves-{uuid4().hex[:8]}" for _ in iter(int, 1))
        self.session = next(each for each in others if shard_of(each, SHARDS) == self.shard)
        try:
            await self.ask(orders)
        finally:
            self.session = own

    async def put(self, topic: str, value: bytes) -> None:
        await self._producer.send_and_wait(
            topic,
            value,
            key=self.session.encode(),
            partition=self.shard,
            headers=list(HEADERS),
        )

    async def outranked(self) -> None:
        """A start of a generation that the group does not reach again, and its message."""
        start = self._of_the_other_life(OUTRANKED, "generating", (1 << 40, 1, 0))
        await self.put(SESSION_LOG, encode(start))
        await self.put(USER_MESSAGES, self._asked(OUTRANKED, "hi"))

    async def released_by_the_other_life(self) -> None:
        """A message of which another worker has written the beginning, and which it let go."""
        message_id, fence = f"m-{uuid4().hex[:12]}", (self.epoch, 0, 0)
        start = self._of_the_other_life(message_id, "generating", fence)
        released = self._of_the_other_life(message_id, "released", fence)
        chunk = Chunk(
            session_id=self.session,
            message_id=message_id,
            created_at=AT,
            attempt=OTHER_LIFE,
            sequence=1,
            content="so far",
        )
        for event in (start, chunk, released):
            await self.put(SESSION_LOG, encode(event))
        await self.put(USER_MESSAGES, self._asked(message_id, "[[tokens=2]]"))

    async def ended_by_the_other_life(self) -> None:
        """The end of that message: until then nobody can acknowledge it, on servers others use."""
        end = Complete(
            session_id=self.session,
            message_id=OUTRANKED,
            created_at=AT,
            attempt=OTHER_LIFE,
            last_sequence=0,
            finish_reason="stop",
        )
        await self.put(SESSION_LOG, encode(end))

    async def in_a_transaction(self) -> None:
        """As others may write; its marker takes an offset and is no record."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka, transactional_id=f"others-{uuid4().hex[:8]}"
        )
        async with producer, producer.transaction():
            value = self._asked(f"m-{uuid4().hex[:12]}", "[[tokens=2]]")
            sent = await producer.send_and_wait(
                USER_MESSAGES, value, key=self.session.encode(), partition=self.shard
            )
        # The coordinator writes the marker a while after the commit.
        partition = TopicPartition(USER_MESSAGES, self.shard)
        async with AIOKafkaConsumer(bootstrap_servers=self._kafka) as consumer:

            async def has_its_marker() -> bool:
                return bool((await consumer.end_offsets([partition]))[partition] > sent.offset + 1)

            async with asyncio.timeout(WITHIN_S):
                while not await has_its_marker():  # noqa: ASYNC110 - a broker tells nobody
                    await asyncio.sleep(POLL_S)

    def _of_the_other_life(
        self, message_id: str, state: State, fence: tuple[int, int, int]
    ) -> Status:
        return Status(
            session_id=self.session,
            message_id=message_id,
            created_at=AT,
            state=state,
            attempt=OTHER_LIFE,
            fence=fence,
            prompt=Prompt(content="hi", created_at=AT),
        )

    def _asked(self, message_id: str, content: str) -> bytes:
        event: Event = UserMessage(
            session_id=self.session, message_id=message_id, created_at=AT, content=content
        )
        return encode(event)


@asynccontextmanager
async def releasing(model: ScriptedModel) -> AsyncIterator[None]:
    async def again_and_again() -> None:
        while True:
            model.release()
            await asyncio.sleep(POLL_S)

    task = asyncio.create_task(again_and_again())
    try:
        yield
    finally:
        task.cancel()


async def test_every_number_moves(
    servers: RunningStack, workers: Workers, model: ScriptedModel
) -> None:
    worker = await workers.start(
        TALKLOG_MAX_RUNNING="1",
        TALKLOG_READ_AHEAD_MESSAGES="3",
        TALKLOG_BREAKER_FAILURES="2",
        TALKLOG_MODEL_RETRIES="1",
    )
    moves = Moves(worker, "worker", "outcome")
    async with Writer(servers).open() as writer:
        await writer.ask("tokens=20 fault=hold_after:5")
        await writer.ask_in_another_session("tokens=3")
        await moves.until("waiting_seconds")  # the one that may run holds its stream
        await writer.ask(*["tokens=3"] * 4)
        await moves.until("delivered", "starts", "running", "unfinished", "owned_shards")
        await moves.until("rebalances", "writes", "chunks", "read_ahead_full")
        await moves.until("model_calls answered", "start_seconds_count")
        servers.hold("kafka")
        try:
            model.release()
            await moves.until("sends_failed")
        finally:
            servers.let_go("kafka")
        async with releasing(model):  # the next attempt holds as well
            await moves.until("ended terminal")
            await until(lambda: worker.metric("unfinished") == 0, WITHIN_S, "all has ended")
        await writer.put(USER_MESSAGES, b"\xff no event")
        await writer.put(SESSION_LOG, b"\xff no event")
        await moves.until("dead_letters", "bad_events")
        await writer.in_a_transaction()
        await writer.ask("tokens=2")
        await moves.until("gaps")
        servers.hold("redis")
        try:
            await writer.ask("tokens=2")
            await moves.until("waiting_for_history")
        finally:
            servers.let_go("redis")
        await writer.ask(*["tokens=2 fault=status:503"] * 3)
        await moves.until("model_asked_again", "model_breaker")
        await writer.released_by_the_other_life()
        await moves.until("continued")
        await writer.outranked()
        await moves.until("outranked")
        await writer.ended_by_the_other_life()
        await until(lambda: worker.metric("unfinished") == 0, WITHIN_S, "nothing is left undone")
    assert moves.still() - ELSEWHERE == set()
