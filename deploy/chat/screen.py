"""Writes an answer as it comes: what a message's state says beyond what stands there already. Pure.

An attempt that is replaced leaves its text on the paper. One that goes on with that text is written
behind it; one that begins anew, under a line that says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.operators.tooling.conversation_text import ending, harmless
from schemas.transcript import Message


@dataclass(slots=True)
class Answer:
    """What has been written of one answer."""

    text: str = ""

    @property
    def chars(self) -> int:
        """How much of it."""
        return len(self.text)

    def more(self, message: Message) -> Iterator[str]:
        """Give the texts to write now, in order, each harmless for a terminal."""
        text = message.text
        if not text.startswith(self.text):
            yield "\n[started again]\n"
            self.text = ""
        if len(text) > self.chars:
            new, self.text = text[self.chars :], text
            yield "\n".join(harmless(line) for line in new.split("\n"))


def last_line(message: Message) -> str | None:
    """What to say below an ended answer; nothing below one that is simply complete."""
    plain = message.state == "complete" and message.finish_reason == "stop"
    return None if plain and not message.damaged else f"[{harmless(ending(message))}]"
