"""Events as gateways and workers write them, and the log they make, for tests of its readers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from persister.batch import Partition
from schemas.events import (
    BEGIN_ANEW,
    Cancel,
    Chunk,
    Complete,
    Error,
    ErrorCode,
    Event,
    FinishReason,
    Prompt,
    ReasoningChunk,
    SessionForgotten,
    State,
    Status,
    Timing,
    Usage,
    UserMessage,
    encode,
)
from schemas.topics import SESSION_LOG, USER_MESSAGES, shard_of

CREATED_AT = "2026-01-02T03:04:05.678Z"


class LogRecord(NamedTuple):
    """A record as readers see it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class Say:
    """The events of one message."""

    session_id: str
    message_id: str
    content: str = "why?"
    created_at: str = CREATED_AT
    user: str | None = "ada"
    prompt_offset: int | None = None

    @property
    def prompt(self) -> Prompt:
        return Prompt(content=self.content, created_at=self.created_at)

    def said(self, content: str | None = None) -> UserMessage:
        return UserMessage(
            session_id=self.session_id,
            message_id=self.message_id,
            created_at=self.created_at,
            content=content or self.content,
            user=self.user,
        )

    def cancel(self, user: str | None = None, created_at: str | None = None) -> Cancel:
        return Cancel(
            session_id=self.session_id,
            message_id=self.message_id,
            created_at=created_at or self.created_at,
            user=user,
        )

    def queued(self, position: int = 1) -> Status:
        said = {"prompt": self.prompt, "prompt_offset": self.prompt_offset}
        return self._status("queued", **said, position=position)

    def generating(
        self, attempt: str, fence: tuple[int, int, int] = (1, 1, 1), continues: str | None = None
    ) -> Status:
        return self._status(
            "generating",
            attempt=attempt,
            fence=fence,
            prompt=self.prompt,
            prompt_offset=self.prompt_offset,
            model="scripted",
            worker="w1",
            continues=continues,
        )

    def alive(self, attempt: str) -> Status:
        return self._status("alive", attempt=attempt)

    def cancelling(self, attempt: str) -> Status:
        return self._status("cancelling", attempt=attempt, reason="cancel")

    def released(self, attempt: str, *, anew: bool = False) -> Status:
        return self._status("released", attempt=attempt, reason=BEGIN_ANEW if anew else None)

    def chunk(self, attempt: str, sequence: int, content: str) -> Chunk:
        return Chunk(
            session_id=self.session_id,
            message_id=self.message_id,
            created_at=self.created_at,
            attempt=attempt,
            sequence=sequence,
            content=content,
        )

    def thought(self, attempt: str, sequence: int, content: str) -> ReasoningChunk:
        return ReasoningChunk(
            session_id=self.session_id,
            message_id=self.message_id,
            created_at=self.created_at,
            attempt=attempt,
            sequence=sequence,
            content=content,
        )

    def complete(
        self,
        attempt: str | None,
        last_sequence: int,
        reason: FinishReason = "stop",
        tool_calls_ignored: int = 0,
    ) -> Complete:
        return Complete(
            session_id=self.session_id,
            message_id=self.message_id,
            created_at=self.created_at,
            attempt=attempt,
            last_sequence=last_sequence,
            finish_reason=reason,
            usage=Usage(prompt_tokens=3, completion_tokens=last_sequence),
            timing=Timing(queued_ms=1, first_token_ms=2, total_ms=3),
            prompt=None if attempt else self.prompt,
            prompt_offset=None if attempt else self.prompt_offset,
            tool_calls_ignored=tool_calls_ignored,
        )

    def failed(self, attempt: str | None, code: ErrorCode, last_sequence: int = 0) -> Error:
        return Error(
            session_id=self.session_id,
            message_id=self.message_id,
            created_at=self.created_at,
            attempt=attempt,
            code=code,
            message=f"it is {code}",
            retryable=True,
            last_sequence=last_sequence,
            prompt=None if attempt else self.prompt,
            prompt_offset=None if attempt else self.prompt_offset,
        )

    def forgotten(self, said_before: int) -> SessionForgotten:
        """Its session is erased."""
        return SessionForgotten(
            session_id=self.session_id,
            message_id=f"forgotten-{said_before}",
            created_at=self.created_at,
            said_before=said_before,
        )

    def answer(
        self, texts: Sequence[str], attempt: str = "a1", fence: tuple[int, int, int] = (1, 1, 1)
    ) -> list[Event]:
        """A whole answer: start, chunks, complete."""
        chunks = [self.chunk(attempt, n, text) for n, text in enumerate(texts, 1)]
        return [self.generating(attempt, fence), *chunks, self.complete(attempt, len(texts))]

    def _status(self, state: State, **fields: object) -> Status:
        return Status(
            session_id=self.session_id,
            message_id=self.message_id,
            created_at=self.created_at,
            state=state,
            **fields,  # type: ignore[arg-type]
        )


def topic_of(event: Event) -> str:
    """Which topic the event belongs to."""
    return USER_MESSAGES if isinstance(event, UserMessage | Cancel) else SESSION_LOG


@dataclass
class Log:
    """Both topics in memory, with offsets as a broker would give them."""

    shards: int = 4
    records: dict[Partition, list[LogRecord]] = field(default_factory=dict)

    def append(self, *events: Event) -> None:
        for event in events:
            shard = shard_of(event.session_id, self.shards)
            self.append_raw(
                Partition(topic_of(event), shard), event.session_id.encode(), encode(event)
            )

    def append_raw(self, partition: Partition, key: bytes | None, value: bytes | None) -> None:
        held = self.records.setdefault(partition, [])
        held.append(LogRecord(held[-1].offset + 1 if held else 0, key, value))


def log_of(events: Iterable[Event], shards: int = 4) -> Log:
    """A log of these events, in this order."""
    log = Log(shards)
    log.append(*events)
    return log
