"""One record -> the event in it, or the reason why it can't be stored.

Everything that Postgres would refuse is refused here, before the fold: a refused record must not
leave a trace in memory, and the verifier, which has no Postgres to ask, must come to the same
verdict. But no event of the session log is refused for its text, least of all a terminal: without
it the answer would never end in the tables. What can't be stored of a text is replaced.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

from msgspec.structs import replace

from schemas.events import (
    Cancel,
    Chunk,
    Complete,
    Error,
    Event,
    Prompt,
    SessionEvent,
    SessionForgotten,
    Status,
    UndecodableEvent,
    UserEvent,
    UserMessage,
    decode_session_event,
    decode_user_event,
)
from schemas.harmless_text import without_nul
from schemas.topics import USER_MESSAGES, shard_of

NO_TIME = "1970-01-01T00:00:00.000Z"
"""Stands for the time of a terminal that said none: the answer has ended all the same."""
_TEXTS = {"content", "attempt", "model", "worker", "message", "code", "finish_reason", "history"}
INTEGER_MAX = 2**31 - 1
BIGINT_MAX = 2**63 - 1

_SECOND = re.compile(r"(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)
_SECOND_CHARS = len("0001-01-01T00:00:00")
_FRACTION_AND_ZONE = re.compile(r"(\.\d{1,9})?(Z|[+-](0\d|1[0-4]):[0-5]\d)", re.ASCII)
_TIME_MAX_CHARS = len("0001-01-01T00:00:00.123456789+00:00")


class LogRecord(Protocol):
    """What is needed of aiokafka's ConsumerRecord."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102


class WholeRecord(LogRecord, Protocol):
    """The same with its headers, which a dead letter keeps."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class BadRecord(ValueError):
    """The record can't be stored: put it with the dead letters, with this reason, and go on."""


def read(topic: str, shard: int, shards: int, record: LogRecord) -> UserEvent | SessionEvent | None:
    """Give the record's event; None for a type or state of a later version.

    Raises:
        BadRecord: not an event, not in the place where its session lives, or holding a value that
            no column can take.
    """
    event: UserEvent | SessionEvent | None
    try:
        if topic == USER_MESSAGES:
            event = decode_user_event(record.value)
        else:
            event = decode_session_event(record.value)
    except UndecodableEvent as error:
        raise BadRecord(str(error)) from error
    if event is None:
        return None
    if record.key != event.session_id.encode():
        raise BadRecord(f"the key is not the session {event.session_id}")
    if _shard_of(event.session_id, shards) != shard:
        raise BadRecord(f"session {event.session_id} does not live in shard {shard}")
    # Nearly all that comes are chunks that can be stored as they are: they are asked no more.
    if type(event) is Chunk and "\0" not in event.content and "\0" not in event.attempt:
        if _is_time(event.created_at):
            return event
    elif not isinstance(event, UserMessage | Cancel):
        event = _with_storable_text(event, record.value or b"")
    reason = _unstorable(event)
    if reason:
        raise BadRecord(reason)
    return event


@lru_cache(maxsize=65_536)
def _shard_of(session_id: str, shards: int) -> int:
    return shard_of(session_id, shards)


def _with_storable_text(event: SessionEvent, value: bytes) -> SessionEvent:
    """Replace what no column takes: NUL, and of a terminal and its prompt times that are none."""
    changed: dict[str, Any] = {}
    # In JSON a NUL can only stand escaped; that escape may also be the end of a longer one.
    if b"\\u0000" in value:
        for name in _TEXTS & set(event.__struct_fields__):
            text = getattr(event, name)
            if text is not None and "\0" in text:
                changed[name] = without_nul(text)
    if isinstance(event, Status | Complete | Error) and event.prompt is not None:
        prompt = Prompt(
            content=without_nul(event.prompt.content), created_at=event.prompt.created_at
        )
        if isinstance(event, Complete | Error) and not _is_time(prompt.created_at):
            prompt = replace(prompt, created_at=NO_TIME)
        if prompt != event.prompt:
            changed["prompt"] = prompt
    if isinstance(event, Complete | Error | SessionForgotten) and not _is_time(event.created_at):
        changed["created_at"] = NO_TIME
    return replace(event, **changed) if changed else event


def _unstorable(event: Event) -> str | None:
    if isinstance(event, UserMessage | Cancel) and any("\0" in text for text in _texts(event)):
        return "a text holds NUL, which Postgres can't store"
    if not _is_time(event.created_at):
        return f"created_at is no time: {event.created_at[:40]!r}"
    if isinstance(event, Status | Complete | Error):
        return _unstorable_state(event)
    return None


def _unstorable_state(event: Status | Complete | Error) -> str | None:
    if event.prompt is not None and not _is_time(event.prompt.created_at):
        return f"the prompt's created_at is no time: {event.prompt.created_at[:40]!r}"
    if isinstance(event, Status):
        fence = event.fence or ()
        if any(abs(part) > BIGINT_MAX for part in fence):
            return "fence is out of range"
        if event.position is not None and abs(event.position) > INTEGER_MAX:
            return "position is out of range"
    elif event.last_sequence > INTEGER_MAX:
        return "last_sequence is out of range"
    return None


def _is_time(text: str) -> bool:
    # By halves, each of which comes again and again: a whole time seldom does.
    return (
        len(text) <= _TIME_MAX_CHARS
        and _is_second(text[:_SECOND_CHARS])
        and _is_fraction_and_zone(text[_SECOND_CHARS:])
    )


@lru_cache(maxsize=4096)
def _is_second(text: str) -> bool:
    if _SECOND.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def _is_fraction_and_zone(text: str) -> bool:
    return _FRACTION_AND_ZONE.fullmatch(text) is not None


def _texts(event: UserEvent) -> list[str]:
    """Every text of the event that is written to a column, but for ids: they have a pattern."""
    content = event.content if isinstance(event, UserMessage) else None
    return [text for text in (content, event.user) if text is not None]
