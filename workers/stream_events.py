"""What one event of a model's stream says: text, an end, a count, or that it can't be read.

Only what an answer needs is taken out; everything else is skipped without being built. Reasoning
and tool calls are not part of an answer, but they are signs of life. What a database or a
browser would refuse is made harmless here: NUL, lone surrogates and bytes that are not UTF-8
become U+FFFD.

Pure.
"""

import json

import msgspec

from workers.prompt import Usage

_REPLACEMENT = "\ufffd"
_FINISH_REASONS = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}
_NULL = b"null"
_UNREADABLE = (ValueError, RecursionError)  # msgspec's, json's and UTF-8's errors are ValueErrors


class UnreadableEvent(ValueError):
    """An event is not what a chat completion stream may hold."""


class _Delta(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    reasoning_content: msgspec.Raw | None = None
    reasoning: msgspec.Raw | None = None
    tool_calls: msgspec.Raw | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw | None = None
    error: msgspec.Raw | None = None


class Said(msgspec.Struct, frozen=True):
    """One event's share of an answer. `alive`: the model is at work (more than a greeting)."""

    content: str = ""
    finish_reason: str | None = None
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
        _harmless(content),
        finish_reason and _FINISH_REASONS.get(finish_reason, "stop"),
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


def _present(raw: msgspec.Raw | None) -> bool:
    return raw is not None and bytes(raw) != _NULL


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


def _harmless(content: str) -> str:
    return content.replace("\0", _REPLACEMENT) if "\0" in content else content


def _usage(raw: msgspec.Raw | None) -> Usage | None:
    try:
        counts = _decode_counts(bytes(raw or b""))
    except _UNREADABLE:
        return None  # a strange count is no reason to lose an answer
    return Usage(counts.prompt_tokens, counts.completion_tokens)


def _error_text(raw: msgspec.Raw | None) -> str:
    try:
        error = json.loads(bytes(raw or b"null").decode(errors="replace"))
    except _UNREADABLE:
        return "an error without words"
    text = error.get("message") if isinstance(error, dict) else error
    return str(_without_surrogates(str(text)))[:500]
