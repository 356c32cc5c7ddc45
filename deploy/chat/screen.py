"""Writes an answer as it comes: what a message's state says beyond what stands there already. Pure.

An attempt that is replaced leaves its text on the paper. One that goes on with that text is written
behind it; one that begins anew, under a line that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.operators.tooling.conversation_text import ending, harmless
from schemas.transcript import Message

STARTED_AGAIN = "\n[started again]\n"
HELP = (
    "/help      this list",
    "/session   the session's id, for --session and the page's address",
    "/quit      leave; Ctrl-D and Ctrl-C do, too",
    "Ctrl-C     while an answer is written: stop it, its text stays",
    "What is no command is sent, also a line that begins with / and goes on with other words.",
)
_COMMAND = re.compile(r"/[a-z]+")


def command_of(typed: str) -> str | None:
    """Give the command that a line is, without its slash, known or not; None: it is a message."""
    typed = typed.strip()
    return typed[1:] if _COMMAND.fullmatch(typed) else None


@dataclass(slots=True)
class Answer:
    """What has been written of one answer."""

    text: str = ""
    reasoning: str = ""

    @property
    def chars(self) -> int:
        """How much of it."""
        return len(self.text)

    def more(self, message: Message) -> Iterator[str]:
        """Give the texts to write now, in order, each harmless for a terminal."""
        text = message.text
        if not text.startswith(self.text):
            yield STARTED_AGAIN
            self.text = ""
        if len(text) > self.chars:
            new, self.text = text[self.chars :], text
            yield _harmless(new)

    def thoughts(self, message: Message) -> Iterator[str]:
        """Give what the model has thought aloud since the last call."""
        reasoning = message.reasoning
        if not reasoning.startswith(self.reasoning):
            self.reasoning = ""  # another attempt's; what stands there stays
            yield "\n"
        if len(reasoning) > len(self.reasoning):
            new, self.reasoning = reasoning[len(self.reasoning) :], reasoning
            yield _harmless(new)


def _harmless(text: str) -> str:
    return "\n".join(harmless(line) for line in text.split("\n"))


def last_line(message: Message) -> str | None:
    """What to say below an ended answer; nothing below one that is simply complete."""
    plain = message.state == "complete" and message.finish_reason == "stop"
    return None if plain and not message.damaged else f"[{harmless(ending(message))}]"
