"""What one event of a model's stream says: text, an end, a count, or that it can't be read.

Only what an answer needs is taken out; everything else is skipped without being built. Reasoning
and tool calls are not part of an answer, but they are signs of life. What a database or a
browser would refuse is made harmless here (`harmless`); bytes that are not UTF-8 become U+FFFD.

Pure.
"""

import json

import msgspec

from schemas.events import FinishReason, Usage
from workers.model.harmless import harmless, harmless_detail

_FINISH_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
_NULL = msgspec.Raw(b"null")  # a union of Raw and None would let no object pass
_UNREADABLE = (ValueError, RecursionError)  # msgspec's, json's and UTF-8's errors are ValueErrors


class UnreadableEvent(ValueError):
    """An event is not what a chat completion stream may hold."""


class _Delta(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    reasoning_content: msgspec.Raw = _NULL
    reasoning: msgspec.Raw = _NULL
    tool_calls: msgspec.Raw = _NULL


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


class Said(msgspec.Struct, frozen=True):
    """One event's share of an answer. `alive`: the model is at work (more than a greeting)."""

    content: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    error: str | None = None
    alive: bool = False


class _Counts(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_counts = msgspec.json.Decoder(_Counts).decode


def read_event(data: bytes) -> Said:
    """What the data of one event says. Raises UnreadableEvent."""
    try:
        chunk = _decode_chunk(data)
    except _UNREADABLE:
        chunk = _read_patiently(data)
    if _present(chunk.error):
        return Said(error=_error_text(chunk.error))
    content, finish_reason, alive = "", None, False
    for choice in chunk.choices or ():
        if choice.index != 0:
            continue
        finish_reason = choice.finish_reason or finish_reason
        if choice.delta is not None:
            content += choice.delta.content or ""
            alive = alive or _alive(choice.delta)
    return Said(
        harmless(content),
        _FINISH_REASONS.get(finish_reason, "stop") if finish_reason else None,
        _usage(chunk.usage) if _present(chunk.usage) else None,
        None,
        alive or finish_reason is not None,
    )


def _alive(delta: _Delta) -> bool:
    return bool(
        delta.content
        or delta.role is None
        or _present(delta.reasoning_content)
        or _present(delta.reasoning)
        or _present(delta.tool_calls)
    )


def _present(raw: msgspec.Raw) -> bool:
    return bytes(raw) != b"null"


def _read_patiently(data: bytes) -> _Chunk:
    """For the rare event with bytes or escapes that only Python's own decoder lets pass."""
    try:
        patched = json.dumps(_without_surrogates(json.loads(data.decode(errors="replace"))))
        return _decode_chunk(patched)
    except _UNREADABLE as error:
        raise UnreadableEvent(str(error)) from error


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {key: _without_surrogates(each) for key, each in value.items()}
    return value


def _usage(raw: msgspec.Raw) -> Usage | None:
    try:
        counts = _decode_counts(bytes(raw))
    except _UNREADABLE:
        return None  # a strange count is no reason to lose an answer
    return Usage(prompt_tokens=counts.prompt_tokens, completion_tokens=counts.completion_tokens)


def _error_text(raw: msgspec.Raw) -> str:
    try:
        error = json.loads(bytes(raw).decode(errors="replace"))
    except _UNREADABLE:
        return "an error without words"
    text = error.get("message") if isinstance(error, dict) else error
    return harmless_detail(str(text))
