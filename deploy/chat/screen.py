"""Writes an answer as it comes: what a message's state says beyond what stands there already. Pure.

An attempt that is replaced leaves its text on the paper, so a new attempt begins under a line that
says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.operators.tooling.conversation_text import ending, harmless
from schemas.transcript import Message


@dataclass(slots=True)
class Answer:
    """What has been written of one answer."""

    attempt: str | None = None
    chars: int = 0

    def more(self, message: Message) -> Iterator[str]:
        """Give the texts to write now, in order, each harmless for a terminal."""
        text = message.text
        if message.attempt != self.attempt or len(text) < self.chars:
            if self.chars:
                yield "\n[started again]\n"
            self.attempt, self.chars = message.attempt, 0
        if len(text) > self.chars:
            new, self.chars = text[self.chars :], len(text)
            yield "\n".join(harmless(line) for line in new.split("\n"))


def last_line(message: Message) -> str | None:
    """What to say below an ended answer; nothing below one that is simply complete."""
    plain = message.state == "complete" and message.finish_reason == "stop"
    return None if plain and not message.damaged else f"[{harmless(ending(message))}]"
