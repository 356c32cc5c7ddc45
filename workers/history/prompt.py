"""What the model is told: the system prompt, as much of the history as fits, the new message.

A conversation grows without end and a model's context does not, so the oldest messages are left
out first. A message and its answer stay or go together (an answer without its question confuses
a model), and nothing older than a message left out is kept. Tokens are estimated, because every
model counts otherwise. The same estimate trims the stored history (redis_history.lua).

Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, TypedDict

import msgspec

from schemas.events import Usage

_BYTES_A_TOKEN = 4
_TOKENS_A_TURN = 4  # what the roles and separators of a turn cost


class Turn(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one side said. `epoch` and `offset`: where in the log its message ended."""

    role: Literal["user", "assistant"]
    content: str
    message_id: str
    offset: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class KnownTurns:
    """A session's history; not `full` if a part of it could not be had."""

    turns: Sequence[Turn]
    full: bool


class ChatMessage(TypedDict):
    """One message as the OpenAI API takes it."""

    role: str
    content: str


def estimate_tokens(content: str) -> int:
    """About how many tokens one message of a prompt takes."""
    return _text_tokens(content) + _TOKENS_A_TURN


def tokens_of(size_bytes: int) -> int:
    """About how many tokens a text of this size takes."""
    return -(-size_bytes // _BYTES_A_TOKEN)


def _text_tokens(content: str) -> int:
    return tokens_of(len(content.encode(errors="replace")))


def build_prompt(
    *,
    system: str,
    history: Sequence[Turn],
    message_id: str,
    content: str,
    budget_tokens: int,
) -> list[ChatMessage]:
    """The prompt for a message: system (unless empty), history in order, the message itself.

    The system prompt and the message are always in it, also when they alone are over the budget.
    Turns of this message_id are left out: they are an earlier try at the same answer.
    """
    first = [ChatMessage(role="system", content=system)] if system else []
    last = ChatMessage(role="user", content=content)
    left = budget_tokens - sum(estimate_tokens(part["content"]) for part in [*first, last])
    turns = newest_that_fit([t for t in history if t.message_id != message_id], left)
    return [*first, *(ChatMessage(role=t.role, content=t.content) for t in turns), last]


def newest_that_fit(history: Sequence[Turn], budget_tokens: int) -> list[Turn]:
    """The newest whole messages of a history (in order) within the budget."""
    messages = [list(turns) for _, turns in groupby(history, key=lambda turn: turn.message_id)]
    kept: list[list[Turn]] = []
    left = budget_tokens
    for turns in reversed(messages):
        left -= sum(estimate_tokens(turn.content) for turn in turns)
        if left < 0:
            break
        kept.append(turns)
    return [turn for turns in reversed(kept) for turn in turns]


def estimate_usage(prompt: Iterable[ChatMessage], answer: str) -> Usage:
    """What an answer has cost, for models that don't tell and answers that were broken off."""
    told = sum(estimate_tokens(message["content"]) for message in prompt)
    return Usage(prompt_tokens=told, completion_tokens=_text_tokens(answer), estimated=True)
