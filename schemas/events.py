"""The events of the log: what people did, and what became of it.

Each is a tagged msgspec struct; its JSON is the value of one Kafka record. Readers ignore unknown
fields, skip unknown types and states, and take a word that they do not know (a code, a reason) as
it is, so that a new writer never stops an old reader: a terminal that could not be read would be an
answer that never ends. Writers are held to the words there are by the types of what they call
(`ErrorCode`, `FinishReason`, …). What is known but malformed is an error (`UndecodableEvent`),
because it is nobody's future: it is a broken writer. Only its text is mended: an event of the
session log is not refused for a lone surrogate, a byte that is no UTF-8, or a word that is too
long, for it may be the end of an answer.
"""

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.harmless_text import without_surrogates
from schemas.limits import MESSAGE_ID_MAX_CHARS, SESSION_ID_MAX_CHARS

# Python's `$` also matches before a last newline; `(?!\n)` refuses that one, and means nothing to
# readers of the JSON Schema, where `$` is the end only.
_SESSION_ID_PATTERN = r"^[A-Za-z0-9._:-]+$(?!\n)"
_MESSAGE_ID_PATTERN = r"^[A-Za-z0-9_-]+$(?!\n)"
_SESSION_ID: dict[str, Any] = {
    "min_length": 1,
    "max_length": SESSION_ID_MAX_CHARS,
    "description": "a conversation",
}
_MESSAGE_ID: dict[str, Any] = {
    "min_length": 1,
    "max_length": MESSAGE_ID_MAX_CHARS,
    "description": "idempotency key",
}
SessionId = Annotated[str, Meta(**_SESSION_ID, pattern=_SESSION_ID_PATTERN)]
MessageId = Annotated[str, Meta(**_MESSAGE_ID, pattern=_MESSAGE_ID_PATTERN)]
# The same in an event: `_hold_ids` matches the pattern, once for all the events of a message.
_SessionIdOfEvent = Annotated[
    str, Meta(**_SESSION_ID, extra_json_schema={"pattern": _SESSION_ID_PATTERN})
]
_MessageIdOfEvent = Annotated[
    str, Meta(**_MESSAGE_ID, extra_json_schema={"pattern": _MESSAGE_ID_PATTERN})
]
# Bounds that every reader can hold: an INTEGER column, and a JavaScript number.
_INTEGER_MAX = 2**31 - 1
_NUMBER_MAX = 2**53 - 1
Sequence = Annotated[int, Meta(ge=1, le=_INTEGER_MAX, description="dense from 1 in an attempt")]
LastSequence = Annotated[
    int, Meta(ge=0, le=_INTEGER_MAX, description="the highest sequence written, 0 for none")
]
FencePart = Annotated[int, Meta(ge=0, le=_NUMBER_MAX)]
PromptOffset = Annotated[
    int,
    Meta(ge=0, le=_NUMBER_MAX, description="of the prompt's record in user_messages"),
]
CreatedAt = Annotated[str, Meta(description="ISO 8601, UTC, milliseconds")]

OnBusy = Literal["enqueue", "reject", "interrupt"]
StopReason = Literal["cancel", "interrupt"]
StatusReason = Literal["cancel", "interrupt", "anew"]
BEGIN_ANEW: StatusReason = "anew"
State = Literal["queued", "generating", "alive", "cancelling", "released"]
FinishReason = Literal["stop", "length", "content_filter", "cancelled", "interrupted", "incomplete"]
ErrorCode = Literal[
    "model_unavailable",
    "model_timeout",
    "model_rejected",
    "context_too_long",
    "retries_exhausted",
    "busy",
    "internal",
    "lost",
    "unsupported",
]
HistoryState = Literal["full", "partial"]


_WORD_MAX_CHARS = 64


def _word_of(known: Any) -> Meta:
    """Say what a reader takes where writers write one of `known`."""
    words = ", ".join(get_args(known))
    description = f"one of: {words}; a later version may have more"
    return Meta(min_length=1, max_length=_WORD_MAX_CHARS, description=description)


OnBusyRead = Annotated[str, _word_of(OnBusy)]
StatusReasonRead = Annotated[str, _word_of(StatusReason)]
FinishReasonRead = Annotated[str, _word_of(FinishReason)]
ErrorCodeRead = Annotated[str, _word_of(ErrorCode)]
HistoryStateRead = Annotated[str, _word_of(HistoryState)]


def iso(moment: datetime) -> str:
    """Give a moment as events have it (`CreatedAt`)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class UndecodableEvent(ValueError):
    """A record's value is not an event: put it with the dead letters and go on."""


class Prompt(Struct, frozen=True, kw_only=True):
    """What the user said, repeated in the session log so that it can be replayed alone."""

    content: str
    created_at: CreatedAt


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one answer; `estimated` if the model did not count all of them itself.

    Of an answer that went on after its worker had gone, they are the sum of what the model was
    asked for and has written; `repeated_prompt_tokens` of them were asked for only because of that.
    `reasoning_tokens`, if the model tells them, are part of `completion_tokens`.
    """

    prompt_tokens: int
    completion_tokens: int
    estimated: bool = False
    repeated_prompt_tokens: int | UnsetType = UNSET
    reasoning_tokens: int | UnsetType = UNSET


class Timing(Struct, frozen=True, kw_only=True):
    """Milliseconds: accepted to start, start to the first token of the text, start to the end.

    `reasoning_ms`: from the first thought to the text, or to the last thought if there is none.
    """

    queued_ms: int
    first_token_ms: int | None
    total_ms: int
    reasoning_ms: int | UnsetType = UNSET


class Event(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True, gc=False):
    """What every event carries. No part of it can lead back to it, so no collector looks at it."""

    session_id: _SessionIdOfEvent
    message_id: _MessageIdOfEvent
    created_at: CreatedAt


class UserMessage(Event, frozen=True, kw_only=True, tag="user_message"):
    """A user asks. Topic `user_messages`."""

    content: str
    on_busy: OnBusyRead = "enqueue"
    model: str | None = None
    user: str | None = None


class Cancel(Event, frozen=True, kw_only=True, tag="cancel"):
    """A user stops an answer. Topic `user_messages`; `message_id` is the message to stop.

    `user` is told nowhere else in the log: who follows the session learns that it was stopped, not
    by whom. The tables have it (`user_messages.cancelled_by`).
    """

    user: str | None = None
    reason: Literal["cancel"] = "cancel"


class Status(Event, frozen=True, kw_only=True, tag="status"):
    """A message's progress; `state` says which fields are there.

    queued {prompt, position} · generating {attempt, fence, prompt, model, worker, continues} ·
    alive {attempt} · cancelling {attempt, reason} · released {attempt, reason}.

    `continues` names the attempt whose text this one goes on with: its first chunk is that text,
    whole. `reason` of `released` is BEGIN_ANEW if the text can't be gone on with. With the prompt
    stands the offset of its record: whether its session was forgotten before it was said, or after.
    """

    state: State
    attempt: str | None = None
    fence: tuple[FencePart, FencePart, FencePart] | None = None
    prompt: Prompt | None = None
    position: int | None = None
    model: str | None = None
    worker: str | None = None
    reason: StatusReasonRead | None = None
    continues: str | None = None
    prompt_offset: PromptOffset | None = None

    def __post_init__(self) -> None:
        """Refuse a state without the fields that the fold needs of it."""
        if self.state == "queued":
            if self.prompt is None:
                raise ValueError("queued without prompt")
        elif self.attempt is None:
            raise ValueError(f"{self.state} without attempt")
        elif self.state == "generating" and (self.fence is None or self.prompt is None):
            raise ValueError("generating without fence or prompt")


class Chunk(Event, frozen=True, kw_only=True, tag="ai_response_chunk"):
    """A piece of an answer."""

    attempt: str
    sequence: Sequence
    content: str


class ReasoningChunk(Event, frozen=True, kw_only=True, tag="ai_reasoning_chunk"):
    """A piece of what the model thought aloud; `sequence` is counted apart from that of chunks."""

    attempt: str
    sequence: Sequence
    content: str


class Complete(Event, frozen=True, kw_only=True, tag="ai_response_complete"):
    """The answer has ended. `attempt` is null (and `prompt` there) if it ended before it began.

    `tool_calls_ignored`: so many tools the model called for, which nobody gave it.
    """

    attempt: str | None
    last_sequence: LastSequence
    finish_reason: FinishReasonRead
    usage: Usage | None = None
    timing: Timing | None = None
    history: HistoryStateRead = "full"
    prompt: Prompt | None = None
    prompt_offset: PromptOffset | None = None
    tool_calls_ignored: Annotated[int, Meta(ge=0, le=_INTEGER_MAX)] = 0


class Error(Event, frozen=True, kw_only=True, tag="error"):
    """The answer has failed. `attempt` is null (and `prompt` there) only if there was no start."""

    attempt: str | None
    code: ErrorCodeRead
    message: str
    retryable: bool
    last_sequence: LastSequence = 0
    prompt: Prompt | None = None
    prompt_offset: PromptOffset | None = None


class SessionForgotten(Event, frozen=True, kw_only=True, tag="session_forgotten"):
    """A session is erased: what lies before this event is gone, for every reader.

    `said_before`: so far `user_messages` went in the session's shard when this was asked for. What
    was said before that offset stays forgotten, whatever is still written of it; what is said from
    there on is a new conversation. `message_id` is this event's own: it is of no message.
    """

    said_before: PromptOffset


Terminal = Complete | Error
SessionEvent = Status | Chunk | ReasoningChunk | Complete | Error | SessionForgotten
UserEvent = UserMessage | Cancel

_encoder = msgspec.json.Encoder()
_session_decoder = msgspec.json.Decoder(SessionEvent)
_user_decoder = msgspec.json.Decoder(UserEvent)


class _Head(Struct):
    type: str
    state: str | None = None


class _Ids(Struct):
    session_id: SessionId
    message_id: MessageId


_head_decoder = msgspec.json.Decoder(_Head)
_OF_THE_SESSION_LOG = (
    "status",
    "ai_response_chunk",
    "ai_reasoning_chunk",
    "ai_response_complete",
    "error",
    "session_forgotten",
)
_KNOWN = {"user_message", "cancel", *_OF_THE_SESSION_LOG}
_WORDS = {"code", "finish_reason", "history", "reason"}
_STATES = set(State.__args__)  # type: ignore[attr-defined]


def encode(event: Event) -> bytes:
    """Give the event as one JSON object, a record's value; it begins with `{"type":`."""
    return _encoder.encode(event)


def decode_session_event(value: bytes | None) -> SessionEvent | None:
    """Read a record of `ai_response_chunks`; None for a type or state of a later version.

    Raises:
        UndecodableEvent: not JSON, not an object, or a known type with missing or wrong fields.
    """
    event: SessionEvent
    try:
        event = _session_decoder.decode(value or b"")
        _hold_ids(event.session_id, event.message_id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if (mended := _mended(value or b"")) is not None:
            return mended
        _raise_if_known(value, error)
        return None
    return event


def _mended(value: bytes) -> SessionEvent | None:
    """Read an event whose text is broken, and nothing else of it; None if it is not that."""
    try:
        found = without_surrogates(json.loads(value.decode(errors="replace")))
        if not isinstance(found, dict) or found.get("type") not in _OF_THE_SESSION_LOG:
            return None
        for name in _WORDS & found.keys():
            if isinstance(found[name], str):
                found[name] = found[name][:_WORD_MAX_CHARS]
        event: SessionEvent = msgspec.convert(found, SessionEvent)
        _hold_ids(event.session_id, event.message_id)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    return event


def decode_user_event(value: bytes | None) -> UserEvent | None:
    """Read a record of `user_messages`; None for a type of a later version.

    Raises:
        UndecodableEvent: not JSON, not an object, or a known type with missing or wrong fields.
    """
    event: UserEvent
    try:
        event = _user_decoder.decode(value or b"")
        _hold_ids(event.session_id, event.message_id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _raise_if_known(value, error)
        return None
    return event


@lru_cache(maxsize=16_384)
def _hold_ids(session_id: str, message_id: str) -> None:
    """Raise msgspec.ValidationError if one is none. To match both costs as much as to decode."""
    msgspec.convert({"session_id": session_id, "message_id": message_id}, _Ids)


def _raise_if_known(value: bytes | None, error: Exception) -> None:
    try:
        head = _head_decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UndecodableEvent(f"not an event: {error}") from error
    if head.type not in _KNOWN:
        return
    if head.type == "status" and head.state is not None and head.state not in _STATES:
        return
    raise UndecodableEvent(f"{head.type}: {error}") from error
