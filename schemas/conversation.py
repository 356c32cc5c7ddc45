"""A stored row of the view `conversation` -> the fold's message, so that folding can go on from it.

What gateway, workers and persister read back from Postgres must be the same state that the fold
had, field by field; therefore the one reading of a row is here. The rows themselves are written by
the persister alone.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from schemas.events import Error, Prompt, Timing, Usage, iso
from schemas.transcript import Forgotten, Message, Place

T = TypeVar("T")


def columns_of(message: Message) -> dict[str, Any]:
    """Give the message's own columns of `answers`, by name, of values that JSON can carry.

    `message_of` reads them back. What a message has beside them is written by itself: the prompt
    into user_messages, the text into streaming_messages, the reasoning behind what `answers` has.
    """
    error, first, last = message.error, message.first, message.last
    return {
        "state": message.state,
        "attempt": message.attempt,
        "fence": None if message.fence is None else list(message.fence),
        "released": message.released,
        "starts": message.starts,
        "unended_starts": message.unended_starts,
        "last_sequence": message.last_sequence,
        "last_reasoning_sequence": message.last_reasoning_sequence,
        "damaged": message.damaged,
        "cancelling": message.cancelling,
        "position": message.position,
        "model": message.model,
        "worker": message.worker,
        "continues": message.continues,
        "tool_calls_ignored": message.tool_calls_ignored,
        "finish_reason": message.finish_reason,
        "error_code": error.code if error else None,
        "error_message": error.message if error else None,
        "error_retryable": error.retryable if error else None,
        "usage": msgspec.to_builtins(message.usage),
        "timings": msgspec.to_builtins(message.timing),
        "history": message.history,
        "first_epoch": first.epoch if first else None,
        "first_offset": first.offset if first else None,
        "epoch": last.epoch if last else None,
        "last_offset": last.offset if last else None,
    }


def message_of(row: Mapping[str, Any]) -> Message | None:
    """Give the message of a row, or None if nothing is known of its answer yet (`state` is null).

    `row` is one of the view `conversation`, by column name (psycopg's `dict_row`); `content`,
    `reasoning`, `prompt` and `prompt_created_at` may be left out by readers that don't need them.
    """
    if row["state"] is None:
        return None
    content, reasoning = row.get("content"), row.get("reasoning")
    return Message(
        message_id=row["message_id"],
        prompt=prompt_of(row),
        state=row["state"],
        attempt=row["attempt"],
        fence=None if row["fence"] is None else (row["fence"][0], row["fence"][1], row["fence"][2]),
        released=row["released"],
        starts=row["starts"],
        unended_starts=row["unended_starts"],
        last_sequence=row["last_sequence"],
        # Not there before the table has these columns:
        last_reasoning_sequence=row.get("last_reasoning_sequence") or 0,
        tool_calls_ignored=row.get("tool_calls_ignored") or 0,
        continues=row.get("continues"),
        damaged=row["damaged"],
        cancelling=row["cancelling"],
        position=row["position"],
        finish_reason=row["finish_reason"],
        error=_error(row),
        usage=_known_part(row["usage"], Usage),
        timing=_known_part(row["timings"], Timing),
        history=row["history"],
        model=row["model"],
        worker=row["worker"],
        first=Place(row["first_epoch"], row["first_offset"]),
        last=Place(row["epoch"], row["last_offset"]),
        contents=[content] if content else [],
        reasoning_contents=[reasoning] if reasoning else [],
    )


def _known_part(stored: object, kind: type[T]) -> T | None:
    """Read what this version knows of a column of JSON; None if it can't be made of it.

    A later version may have written more, an earlier one less: no answer is lost for a figure.
    """
    try:
        return None if stored is None else msgspec.convert(stored, kind)
    except msgspec.ValidationError:
        return None


def forgotten_of(row: Mapping[str, Any]) -> Forgotten | None:
    """Read a row of forgotten_sessions; None where a join found none (`said_before` is null)."""
    if row["said_before"] is None:
        return None
    return Forgotten(
        at=Place(row["forgotten_epoch"], row["forgotten_offset"]),
        said_before=Place(row["said_epoch"], row["said_before"]),
    )


def prompt_of(row: Mapping[str, Any]) -> Prompt | None:
    """Give what the user said, if the row was read with it."""
    content = row.get("prompt")
    if content is None:
        return None
    return Prompt(content=content, created_at=iso(row["prompt_created_at"]))


def _error(row: Mapping[str, Any]) -> Error | None:
    if row["error_code"] is None:
        return None
    return Error(
        session_id=row["session_id"],
        message_id=row["message_id"],
        created_at=iso(row["ended_at"]),
        attempt=row["attempt"],
        code=row["error_code"],
        message=row["error_message"],
        retryable=row["error_retryable"],
        last_sequence=row["last_sequence"],
    )
