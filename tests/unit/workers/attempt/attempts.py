"""Attempts beside one another on a log whose batches the test holds, lands or fails."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from schemas.events import Chunk, SessionEvent, UserMessage, decode_session_event
from schemas.log.producer import Headers, SendFailed
from schemas.topics import Entry
from schemas.transcript import Message, Place, Transcript
from workers.attempt.attempt import Attempt
from workers.attempt.needs import AttemptSettings
from workers.attempt.tick import Tick
from workers.history.prompt import ChatMessage, KnownTurns
from workers.intake.actions import AttemptEnd, Start
from workers.model.stream import Delta, Text

AT = "2026-01-01T00:00:00.000Z"
NEVER_S = 1e6
CHUNK_EVERY_S = 0.015
TURNS = 12
"""So many turns of the loop are enough for whatever one step begins."""

Landing = Literal["landed", "lost", "late"]
"""What becomes of a batch; of one that failed too: its outcome is unknown."""


@dataclass
class Batch:
    shard: int
    events: list[SessionEvent]
    over: "asyncio.Future[None]"


@dataclass
class HeldLog:
    """Single records land at once; a batch lands when it is let go. One a shard may be held."""

    events: dict[int, list[SessionEvent]] = field(default_factory=dict)
    held: dict[int, Batch] = field(default_factory=dict)
    late: list[Batch] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)

    async def send(
        self,
        topic: str,
        shard: int | None,
        key: bytes | None,
        value: bytes,
        headers: Headers | None = None,
    ) -> int:
        assert shard is not None
        return self.append(shard, [event_of(value)])

    async def send_batch(self, topic: str, shard: int, entries: Sequence[Entry]) -> int:
        assert shard not in self.held, "two batches of one shard are under way"
        events = [event_of(entry.value) for entry in entries]
        assert len({event.session_id for event in events}) == len(events)
        batch = Batch(shard, events, asyncio.get_running_loop().create_future())
        self.held[shard] = batch
        self.batches.append(batch)
        await batch.over
        return 0

    def append(self, shard: int, events: list[SessionEvent]) -> int:
        self.events.setdefault(shard, []).extend(events)
        return len(self.events[shard]) - len(events)

    def let_go(self, shard: int) -> None:
        """Acknowledge what is held of the shard."""
        if batch := self.held.pop(shard, None):
            self.append(shard, batch.events)
            batch.over.set_result(None)

    def fail(self, shard: int, landing: Landing) -> None:
        """Let the producer give up what is held of the shard, whatever became of it."""
        if batch := self.held.pop(shard, None):
            if landing == "landed":
                self.append(shard, batch.events)
            elif landing == "late":
                self.late.append(batch)
            batch.over.set_exception(SendFailed("scripted"))

    def land_what_is_late(self) -> None:
        for batch in self.late:
            self.append(batch.shard, batch.events)
        self.late.clear()


def event_of(value: bytes) -> SessionEvent:
    event = decode_session_event(value)
    assert event is not None
    return event


class Says:
    """A model that says what the test gives it, and an end or a fault behind it."""

    is_backlogged = False

    def __init__(self) -> None:
        self.waiting: deque[Delta | Exception] = deque()
        self.begins = asyncio.Event()
        self.open = False
        self.reads = 0

    def say(self, *deltas: Delta | Exception) -> None:
        self.waiting.extend(deltas)
        self.begins.set()

    @asynccontextmanager
    async def stream(
        self, messages: Sequence[ChatMessage], *, model: str, max_tokens: int, so_far: str = ""
    ) -> AsyncIterator["Says"]:
        await self.begins.wait()
        self.open = True
        try:
            yield self
        finally:
            self.open = False

    def read(self, now_s: float) -> Delta | None:
        self.reads += 1
        if not self.waiting:
            return None
        delta = self.waiting.popleft()
        if isinstance(delta, Exception):
            raise delta
        return delta


class Running:
    """One attempt that runs."""

    def __init__(self, log: HeldLog, tick: Tick, number: int, shard: int, model: Says) -> None:
        self.session_id, self.shard = f"s{number}", shard
        self.model = model
        self.said = ""
        self._log = log
        message = UserMessage(
            session_id=self.session_id, message_id="m", created_at=AT, content="?"
        )
        self.attempt = Attempt(
            Start(shard, message, "a1", (1, 1, 0), accepted_ms=0, traceparent=None),
            settings=AttemptSettings("w", "m", "", 1000, 50, CHUNK_EVERY_S),
            sender=log,
            tick=tick,
            model=self.model,
            turns=self._turns,
            on_started=lambda: None,
        )
        self.task: asyncio.Task[tuple[AttemptEnd, int | None]] = asyncio.create_task(
            self.attempt.run()
        )

    async def _turns(self, session_id: str) -> KnownTurns:
        return KnownTurns([], True)

    def say(self, content: str) -> None:
        self.said += content
        self.model.say(Text(content))

    @property
    def events(self) -> list[SessionEvent]:
        """What the log has of it."""
        in_shard = self._log.events.get(self.shard, [])
        return [event for event in in_shard if event.session_id == self.session_id]

    @property
    def text(self) -> str:
        return "".join(event.content for event in self.events if isinstance(event, Chunk))

    def fold(self) -> Message:
        transcript = Transcript()
        for offset, event in enumerate(self.events):
            transcript.apply(event, Place(1, offset))
        return transcript.messages["m"]


class World:
    """Some attempts, one tick that beats when the test says so, a clock of the test's own.

    By itself it beats only as `chunk_every_s` says.
    """

    def __init__(
        self, shards: Sequence[int], models: Sequence[Says] = (), chunk_every_s: float = NEVER_S
    ) -> None:
        self.log = HeldLog()
        self.tick = Tick(self.log, chunk_every_s=chunk_every_s)
        self._models = models or [Says() for _ in shards]
        self._ahead_s = 0.0
        self._shards = shards
        self.attempts: list[Running] = []

    async def __aenter__(self) -> "World":
        self._ticking = asyncio.create_task(self.tick.run())
        await settle()
        self.attempts = [
            Running(self.log, self.tick, number, shard, model)
            for number, (shard, model) in enumerate(zip(self._shards, self._models, strict=True))
        ]
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [self._ticking, *(each.task for each in self.attempts)]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def beat(self, after_s: float = CHUNK_EVERY_S) -> None:
        """Let time pass, and tick."""
        self._ahead_s += after_s
        self.tick.beat(now_s=asyncio.get_running_loop().time() + self._ahead_s)
        await settle()

    async def let_go(self) -> None:
        for shard in list(self.log.held):
            self.log.let_go(shard)
        await settle()


async def settle() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)
