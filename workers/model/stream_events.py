"""What one event of a model's stream says: text, reasoning, an end, a count, an error, or nothing.

Only what an answer needs is taken out, each field by itself: an odd one beside it kills nothing.
Tool calls are counted, no more: they and reasoning by any name are signs of life. What a database
or a browser would refuse is made harmless here (`harmless`); bytes that are not UTF-8 become
U+FFFD.

Nearly every event is read by a decoder that builds only those fields. What it refuses (NaN, a
number where text should be, a list of parts) is read once more, patiently. Pure.
"""

import json
from math import isfinite
from typing import Any

import msgspec
from msgspec import UNSET

from schemas.events import FinishReason, Usage
from workers.model.endings import finish_reason_of
from workers.model.harmless import harmless
from workers.model.reasoning import reasoning_in, thought_of
from workers.model.told_errors import ToldError, told_error

_NULL = msgspec.Raw(b"null")  # a union of Raw and None would let no object pass
_UNREADABLE = (ValueError, RecursionError)  # msgspec's, json's and UTF-8's errors are ValueErrors
_NO_ERRORS = frozenset({b"null", b"false", b'""', b"{}", b"[]"})


class UnreadableEvent(ValueError):
    """An event is not what a chat completion stream may hold."""


class _Delta(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    reasoning_content: msgspec.Raw = _NULL
    reasoning: msgspec.Raw = _NULL
    thinking: msgspec.Raw = _NULL
    reasoning_details: msgspec.Raw = _NULL
    tool_calls: msgspec.Raw = _NULL


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: msgspec.Raw = _NULL  # of a whole answer
    text: msgspec.Raw = _NULL  # of the older completions
    finish_reason: str | None = None
    index: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL
    object: msgspec.Raw = _NULL


class ToolCall(msgspec.Struct, frozen=True):
    """A piece of a call: the first has an id, those that follow name it by its index."""

    id: str | None
    index: int


class Said(msgspec.Struct, frozen=True):
    """One event's share of an answer. `alive`: the model is at work (more than a greeting)."""

    content: str = ""
    reasoning: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    error: ToldError | None = None
    alive: bool = False
    tool_calls: tuple[ToolCall, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether it is text, and nothing else."""
        return bool(self.content) and not (
            self.reasoning or self.finish_reason or self.usage or self.error or self.tool_calls
        )


NOTHING = Said()
NO_WORDS = ToldError(None, frozenset(), "an error without words")
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_FLAT_ERROR = b'"error"'


def read_event(data: bytes) -> Said:
    """Read the data of one event. Raises UnreadableEvent."""
    try:
        chunk = _decode_chunk(data)
    except _UNREADABLE:
        return read_value(_loaded(data))
    if chunk.error is not _NULL and bytes(chunk.error) not in _NO_ERRORS:
        return read_value(_loaded(data))
    if bytes(chunk.object) == _FLAT_ERROR:
        return read_value(_loaded(data))
    content, reasoning, finish_reason, alive = "", "", None, False
    for choice in chunk.choices or ():
        if choice.index != 0:
            continue
        if (choice.delta is None and choice.message is not _NULL) or choice.text is not _NULL:
            return read_value(_loaded(data))
        if choice.finish_reason is not None:
            finish_reason = finish_reason_of(choice.finish_reason) or finish_reason
        if (delta := choice.delta) is not None:
            thought = _reasoning(delta)
            if _needs_patience(delta, thought):
                return read_value(_loaded(data))
            content += delta.content or ""
            reasoning += thought
            alive = True
    return Said(
        harmless(content),
        harmless(reasoning),
        finish_reason,
        None if chunk.usage is _NULL else _usage(_loaded(bytes(chunk.usage))),
        None,
        alive or finish_reason is not None,
    )


def _needs_patience(delta: _Delta, thought: str) -> bool:
    """Say whether it holds tool calls, or what may be a greeting or a thought by another name."""
    if delta.tool_calls is not _NULL and bytes(delta.tool_calls) not in (b"null", b"[]"):
        return True
    return delta.role is not None and not delta.content and not thought


def _reasoning(delta: _Delta) -> str:
    for raw in (delta.reasoning_content, delta.reasoning, delta.thinking, delta.reasoning_details):
        if raw is not _NULL and (thought := thought_of(_loaded(bytes(raw)))):
            return thought
    return ""


def _loaded(data: bytes) -> Any:
    """Decode as Python does, which takes NaN, lone surrogates and bytes that are no UTF-8."""
    text = data.decode(errors="replace").strip()
    if not text:
        return None
    try:
        return json.loads(text)
    except _UNREADABLE as error:
        raise UnreadableEvent(str(error)) from error


def read_value(value: Any) -> Said:
    """Read a decoded chunk or a whole completion, patiently. Raises UnreadableEvent."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, str):
        return Said(error=told_error(value))
    if not isinstance(value, dict):
        raise UnreadableEvent(f"a {type(value).__name__} is no chunk")
    choices = value.get("choices")
    error = told_error(value) if value.get("object") == "error" else told_error(value.get("error"))
    content, reasoning, finish_reason, alive = "", "", None, False
    tool_calls: tuple[ToolCall, ...] = ()
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict) or _number(choice.get("index")) not in (None, 0):
            continue
        finish_reason = finish_reason_of(choice.get("finish_reason")) or finish_reason
        told = choice.get("delta") or choice.get("message")
        if isinstance(told, dict):
            content += _text(told.get("content"))
            reasoning += reasoning_in(told)
            tool_calls += _tool_calls(told)
            alive = alive or _any_sign(told)
        elif choice.get("text"):
            content += _text(choice["text"])  # the older form of completions
    if content or reasoning:
        error = None  # words beside an answer's text are no failure
    return Said(
        harmless(content),
        harmless(reasoning),
        finish_reason,
        _usage(value.get("usage")),
        error,
        alive or bool(content) or finish_reason is not None,
        tool_calls,
    )


def read_error(data: bytes) -> ToldError:
    """Read what is an error by its place, whatever its form."""
    try:
        value = _loaded(data)
    except UnreadableEvent:
        value = data.decode(errors="replace")
    inner = value.get("error") if isinstance(value, dict) else None
    return told_error(inner) or told_error(value) or NO_WORDS


def _text(content: object) -> str:
    """Give the text of a delta's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_part(part) for part in content)
    return _part(content)


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type", "text") not in ("text", "output_text"):
        return ""
    text = part.get("text")
    if isinstance(text, dict):
        text = text.get("value")
    return text if isinstance(text, str) else ""


def _tool_calls(told: dict[str, Any]) -> tuple[ToolCall, ...]:
    """Give what there is of calls; the older form is one call without id or index."""
    calls = told.get("tool_calls") or told.get("function_call")
    pieces = calls if isinstance(calls, list) else [calls]
    return tuple(
        ToolCall(str(piece["id"]) if piece.get("id") else None, _number(piece.get("index")) or 0)
        for piece in pieces
        if isinstance(piece, dict)
    )


def _any_sign(told: dict[str, Any]) -> bool:
    """Say whether there is anything in it but a greeting: thinking by any name is a sign too."""
    return any(value not in (None, "", [], {}) for name, value in told.items() if name != "role")


def _number(told: object) -> int | None:
    """Give a count that may be written as a string or a float; None if it is none."""
    if isinstance(told, bool) or not isinstance(told, int | float | str):
        return None
    try:
        number = float(told)
    except (ValueError, OverflowError):
        return None
    return int(number) if isfinite(number) and 0 <= number < 1 << 53 else None


def _usage(told: object) -> Usage | None:
    """Read what was counted; a strange count is no reason to lose an answer."""
    if not isinstance(told, dict):
        return None
    prompt = _first(told, "prompt_tokens", "input_tokens")
    completion = _first(told, "completion_tokens", "output_tokens")
    if prompt is None or completion is None:
        return None
    reasoning = _first(told, "reasoning_tokens")
    for details in (told.get("completion_tokens_details"), told.get("output_tokens_details")):
        if isinstance(details, dict):
            reasoning = reasoning or _first(details, "reasoning_tokens")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=min(reasoning, completion) if reasoning else UNSET,
    )


def _first(told: dict[str, Any], *names: str) -> int | None:
    return next((n for name in names if (n := _number(told.get(name))) is not None), None)
