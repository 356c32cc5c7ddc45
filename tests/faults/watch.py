"""Follows both topics from their start with the fold, so that what is in the log is known live."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.events import Chunk, UserMessage, decode_session_event, decode_user_event
from schemas.topics import SESSION_LOG, USER_MESSAGES
from schemas.transcript import Message, Outcome, Place, Transcript

POLL_MS = 500


@dataclass(frozen=True, slots=True)
class Takeover:
    """A start after another one: what the log had of the attempt before it."""

    worker: str
    released: bool
    mute: bool
    """Nothing had come but its start, and the text that it continued."""
    silent_s: float


class Watch:
    """What the log says: who was accepted, what became of each, what was fenced."""

    def __init__(self, kafka: str, shards: int, epoch: int) -> None:
        self._epoch = epoch
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka, auto_offset_reset="none", check_crcs=False
        )
        self._partitions = [
            TopicPartition(topic, shard)
            for topic in (USER_MESSAGES, SESSION_LOG)
            for shard in range(shards)
        ]
        self.asked: Counter[str] = Counter()
        self.folds: dict[str, Transcript] = {}
        self.outcomes: Counter[Outcome] = Counter()
        self.undecodable = 0
        self.takeovers: defaultdict[str, list[Takeover]] = defaultdict(list)
        self._heard: dict[str, tuple[int, bool]] = {}  # when last, and whether of its own accord

    def message(self, session_id: str, message_id: str) -> Message | None:
        """What the log says of a message; None if nothing."""
        fold = self.folds.get(session_id)
        return fold.messages.get(message_id) if fold else None

    @property
    def unheard(self) -> int:
        """Records of attempts that nobody listens to any more: fenced, or after the terminal."""
        return self.outcomes[Outcome.FENCED] + self.outcomes[Outcome.LATE]

    async def caught_up(self) -> bool:
        """Whether everything that is in the log by now has been read."""
        ends = await self._consumer.end_offsets(self._partitions)
        return all([await self._consumer.position(each) >= ends[each] for each in self._partitions])

    @asynccontextmanager
    async def following(self) -> AsyncIterator["Watch"]:
        """Read until the block ends."""
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        starts = await self._consumer.beginning_offsets(self._partitions)
        for partition, start in starts.items():
            self._consumer.seek(partition, start)
        reading = asyncio.create_task(self._read())
        try:
            yield self
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(self._consumer.stop(), 10)

    async def _read(self) -> None:
        while True:
            try:
                batches = await self._consumer.getmany(timeout_ms=POLL_MS)
            except KafkaError:  # the brokers may be what is dead
                await asyncio.sleep(0.2)
                continue
            for partition, records in batches.items():
                for record in records:
                    self._take(partition.topic, record)

    def _take(self, topic: str, record: ConsumerRecord) -> None:
        if topic == USER_MESSAGES:
            said = decode_user_event(record.value)
            if isinstance(said, UserMessage):
                self.asked[said.message_id] += 1
            return
        event = decode_session_event(record.value)
        if event is None:
            self.undecodable += 1
            return
        fold = self.folds.setdefault(event.session_id, Transcript())
        known = fold.messages.get(event.message_id)
        before = (known.worker, known.released, bool(known.text)) if known else None
        outcome = fold.apply(event, Place(self._epoch, record.offset))
        self.outcomes[outcome] += 1
        if outcome is Outcome.STARTED and before is not None and before[0] is not None:
            self._taken_over(event.message_id, before[0], before[1], record.timestamp)
        if outcome.counts:
            repeats = isinstance(event, Chunk) and event.sequence == 1 and before and before[2]
            _, spoke = self._heard.get(event.message_id, (0, False))
            spoke = outcome is not Outcome.STARTED and (spoke or not repeats)
            self._heard[event.message_id] = record.timestamp, spoke

    def _taken_over(self, message_id: str, worker: str, released: bool, at_ms: int) -> None:
        heard_ms, spoke = self._heard[message_id]
        silent_s = (at_ms - heard_ms) / 1000
        self.takeovers[message_id].append(Takeover(worker, released, not spoke, silent_s))
