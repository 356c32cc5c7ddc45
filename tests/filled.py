"""A message of which every field says something, to see whether each is carried along.

A field that is added to `schemas.transcript.Message` has no value here: the tests fail, and name it
and then each place where it is forgotten.
"""

import dataclasses
import json
from typing import Any

import msgspec

from schemas.events import Error, Prompt, Timing, Usage
from schemas.transcript import Message, Place

SESSION = "filled"
MESSAGE_ID = "m1"
CREATED_AT = "2026-01-02T03:04:05.678Z"
FIELDS = tuple(field.name for field in dataclasses.fields(Message))
IN_THE_LOG_ONLY = ("first", "last")
"""Where the events lie: what no client is told, because it has its cursor."""
FOR_CLIENTS = tuple(name for name in FIELDS if name not in IN_THE_LOG_ONLY)
TEXTS = {"contents": "text", "reasoning_contents": "reasoning"}
"""Texts are one however they are cut; clients know them by these names."""


def empty() -> Message:
    """Nothing but its id and its place in the log."""
    return Message(MESSAGE_ID, first=Place(7, 3), last=Place(7, 3))


def filled() -> Message:
    """No state of the fold is like this: each field must be carried whatever the others say."""
    return Message(
        MESSAGE_ID,
        prompt=Prompt(content="why?", created_at=CREATED_AT),
        state="error",
        attempt="a2",
        fence=(7, 4, 2),
        released=True,
        starts=3,
        unended_starts=2,
        last_sequence=5,
        last_reasoning_sequence=4,
        damaged=True,
        cancelling="cancel",
        position=6,
        finish_reason="length",
        error=Error(
            session_id=SESSION,
            message_id=MESSAGE_ID,
            created_at=CREATED_AT,
            attempt="a2",
            code="model_timeout",
            message="it took too long",
            retryable=True,
        ),
        usage=Usage(
            prompt_tokens=11,
            completion_tokens=12,
            estimated=True,
            repeated_prompt_tokens=5,
            reasoning_tokens=8,
        ),
        timing=Timing(queued_ms=21, first_token_ms=22, total_ms=23, reasoning_ms=20),
        history="partial",
        model="small",
        worker="w1",
        continues="a1",
        tool_calls_ignored=2,
        first=Place(7, 3),
        last=Place(7, 9),
        contents=["because"],
        reasoning_contents=["hm"],
    )


def unfilled() -> list[str]:
    """Give the fields that say nothing in `filled`."""
    plain = Message("")
    return [name for name in FIELDS if getattr(filled(), name) == getattr(plain, name)]


def plain(message: Message, name: str) -> Any:
    """Give a field as JSON has it. A text is one however it is cut; an error is what it says."""
    value: Any = getattr(message, TEXTS.get(name, name))
    if name == "error" and value is not None:
        value = {"code": value.code, "message": value.message, "retryable": value.retryable}
    return json.loads(msgspec.json.encode(value))


def lost(carried: Message | None, names: tuple[str, ...] = FIELDS) -> list[str]:
    """Give the fields in which a message that went through somewhere is not `filled`."""
    if carried is None:
        return list(names)
    return [name for name in names if plain(carried, name) != plain(filled(), name)]
