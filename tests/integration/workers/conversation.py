"""People and readers of the log, for tests of workers: asks, cancels, folds what is answered."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from schemas.events import Cancel, Event, OnBusy, UserMessage, decode_session_event, encode
from schemas.topics import HEADERS, SESSION_LOG, USER_MESSAGES, WORKER_GROUP, shard_of
from schemas.transcript import Message, Outcome, Place, Transcript
from tests.scripted_model.script import is_whole
from tests.stack import RunningStack
from tests.waiting import WITHIN_S, Changes

SHARDS = 8
AT = "2026-01-01T00:00:00.000Z"


class Conversation:
    """Writes `user_messages` and follows the session log from where it was at the start."""

    def __init__(self, servers: RunningStack) -> None:
        kafka = servers.file.kafka
        self._epoch = servers.epoch
        self._consumer = AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="none")
        self._producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True)
        self._group = AIOKafkaConsumer(
            bootstrap_servers=kafka, group_id=WORKER_GROUP, enable_auto_commit=False
        )
        self._folds: dict[str, Transcript] = {}
        self._changes = Changes()
        self.outcomes: Counter[Outcome] = Counter()
        self.shrunk: list[str] = []
        """Messages of which a text was there and then was not any more."""
        self.run = uuid4().hex[:8]
        self.asked: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Conversation"]:
        await self._producer.start()
        await self._consumer.start()
        await self._group.start()
        partitions = [TopicPartition(SESSION_LOG, shard) for shard in range(SHARDS)]
        self._consumer.assign(partitions)
        for partition, end in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(partition, end)
        following = asyncio.create_task(self._follow())
        try:
            yield self
        finally:
            following.cancel()
            await asyncio.wait([following])
            await self._group.stop()
            await self._consumer.stop()
            await self._producer.stop()

    # -- asking

    async def ask(
        self,
        session: str,
        orders: str,
        *,
        message_id: str | None = None,
        on_busy: OnBusy = "enqueue",
    ) -> str:
        """Send a message whose prompt orders the scripted model; gives its id, which is its key."""
        message_id = message_id or f"m-{self.run}-{len(self.asked)}"
        self.asked[message_id] = session
        await self.publish(
            UserMessage(
                session_id=session,
                message_id=message_id,
                created_at=AT,
                content=f"[[key={message_id} {orders}]]",
                on_busy=on_busy,
            )
        )
        return message_id

    async def cancel(self, message_id: str) -> None:
        session = self.asked[message_id]
        await self.publish(Cancel(session_id=session, message_id=message_id, created_at=AT))

    async def publish(self, event: Event) -> None:
        await self.publish_bytes(event.session_id, encode(event))

    async def publish_bytes(self, session: str, value: bytes) -> ConsumerRecord:
        return await self._producer.send_and_wait(
            USER_MESSAGES,
            value,
            key=session.encode(),
            partition=shard_of(session, SHARDS),
            headers=list(HEADERS),
        )

    # -- reading

    def view(self, message_id: str) -> Message | None:
        fold = self._folds.get(self.asked[message_id])
        return fold.messages.get(message_id) if fold else None

    def messages(self) -> Iterator[Message]:
        for message_id in self.asked:
            view = self.view(message_id)
            assert view is not None, f"nothing is known of {message_id}"
            yield view

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until it is true of what was read."""

        def told() -> str:
            states = Counter(m.state if (m := self.view(i)) else "unknown" for i in self.asked)
            return f"{what}; {dict(states)}"

        await self._changes.until(condition, WITHIN_S, told)

    async def until_all_ended(self) -> None:
        def ended(message_id: str) -> bool:
            view = self.view(message_id)
            return view is not None and view.terminal

        await self.until(lambda: all(ended(each) for each in self.asked), "every end")

    async def ended(self, message_id: str) -> Message:
        """Wait for a message's end."""

        def over() -> bool:
            view = self.view(message_id)
            return view is not None and view.terminal

        await self.until(over, f"the end of {message_id}")
        view = self.view(message_id)
        assert view is not None
        return view

    async def all_committed(self) -> bool:
        """Whether the group has committed everything there is."""
        partitions = [TopicPartition(USER_MESSAGES, shard) for shard in range(SHARDS)]
        ends = await self._consumer.end_offsets(partitions)
        committed = {each: await self._group.committed(each) for each in partitions}
        return all((committed[each] or 0) == ends[each] for each in partitions)

    async def until_committed(self) -> None:
        """Wait until the group has committed everything there is."""
        async with asyncio.timeout(WITHIN_S):
            while not await self.all_committed():  # noqa: ASYNC110 - a broker tells nobody
                await asyncio.sleep(0.1)

    async def _follow(self) -> None:
        while True:
            for partition, records in (await self._consumer.getmany(timeout_ms=1000)).items():
                for record in records:
                    self._take(partition.partition, record)
            self._changes.tell()

    def _take(self, shard: int, record: ConsumerRecord) -> None:
        event = decode_session_event(record.value)
        assert event is not None
        assert shard == shard_of(event.session_id, SHARDS)
        fold = self._folds.setdefault(event.session_id, Transcript())
        before = fold.messages.get(event.message_id)
        text = before.text if before is not None else ""
        outcome = fold.apply(event, Place(self._epoch, record.offset))
        if text and not fold.messages[event.message_id].text.startswith(text):
            self.shrunk.append(event.message_id)
        if event.message_id in self.asked:
            self.outcomes[outcome] += 1


def assert_whole(message: Message, tokens: int) -> None:
    """The text is exactly that of one call of the model."""
    assert (message.state, message.finish_reason) == ("complete", "stop"), message.error
    assert not message.damaged
    assert is_whole(message.text, message.message_id, tokens), message.text
