"""A session's records once more at the pace at which they were written, or faster. Pure.

The pace is that of the log (log-append time). Nobody wants to wait a night between two messages: a
pause longer than PAUSE_MAX_S is shortened to that, whatever the speed.
"""

from __future__ import annotations

from collections.abc import Iterator

from deploy.operators.tooling.conversation_text import ending
from schemas.events import Chunk, ReasoningChunk, SessionEvent
from schemas.transcript import Message, Outcome

PAUSE_MAX_S = 5.0
SPEED_MAX = 1_000_000.0


class BadSpeed(ValueError):
    """It is no speed."""


def speed_of(text: str) -> float:
    """Read a speed: 1 is as it happened, 10 ten times as fast. Raises BadSpeed."""
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed <= SPEED_MAX:  # NaN is neither
        raise BadSpeed(f"--speed {text}: 1 is as it happened, 10 ten times as fast")
    return speed


class Pace:
    """Says when the next record is due, from log-append times in milliseconds."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._last_ms: int | None = None
        self._due_s = 0.0

    def wait_s(self, logged_ms: int, now_s: float) -> float:
        """Give how long to wait for the record; late ones are caught up with."""
        if self._last_ms is None:
            self._due_s = now_s
        else:
            pause_s = max(logged_ms - self._last_ms, 0) / 1000 / self._speed
            self._due_s += min(pause_s, PAUSE_MAX_S)
        self._last_ms = logged_ms
        return max(self._due_s - now_s, 0.0)


class Telling:
    """Gives the text that each event adds to a conversation that is read as it is written."""

    def __init__(self) -> None:
        self._thinking = False

    def told(self, event: SessionEvent, outcome: Outcome, message: Message) -> Iterator[str]:
        """Take the next event that counted, and the message as it is since then."""
        prompt = message.prompt.content if message.prompt else ""
        said = "".join(f"> {line}\n" for line in prompt.split("\n"))
        if outcome is Outcome.STARTED:
            self._thinking = False
            yield f"{said}\n" if message.starts == 1 else "\n\n-- begins again\n\n"
        elif outcome is Outcome.REASONING and isinstance(event, ReasoningChunk):
            yield from self._thought(event.content, after_text=bool(message.text))
        elif outcome is Outcome.CHUNK and isinstance(event, Chunk):
            yield "\n\n" if self._thinking else ""
            self._thinking = False
            yield event.content
        elif outcome is Outcome.ENDED:
            self._thinking = False
            if not message.starts:
                yield said
            yield f"\n\n-- {ending(message)}\n\n"

    def _thought(self, content: str, *, after_text: bool) -> Iterator[str]:
        if not self._thinking:
            yield "\n\n| " if after_text else "| "
        self._thinking = True
        yield content.replace("\n", "\n| ")
