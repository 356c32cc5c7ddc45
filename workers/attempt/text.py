"""What one attempt has said so far, and how it ends. Pure.

The text is bounded: an answer that reaches ANSWER_MAX_BYTES ends there with `length`. The first
ending counts: a cancel that comes after the model's end changes nothing.
"""

from dataclasses import dataclass

from schemas.events import ErrorCode, FinishReason, StopReason, Usage
from schemas.limits import ANSWER_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an answer ends with an error; `message` is for people, `retryable` as the event says."""

    code: ErrorCode
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """How the text ends: by a reason or by a failure, whoever decided it.

    `usage` is what the model has told; None: it has to be estimated.
    """

    finish_reason: FinishReason | None = None
    failure: Failure | None = None
    usage: Usage | None = None
    tool_calls: int = 0


def stopped(reason: StopReason) -> Ending:
    """Give the ending of an answer that somebody has stopped; its text stands."""
    return Ending("cancelled" if reason == "cancel" else "interrupted")


class AttemptText:
    """The text of one attempt, chunk by chunk."""

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.sequence = 0
        """Of the last chunk that was given a number."""
        self.reasoning_sequence = 0
        """The same of reasoning, which is no part of the text."""
        self._contents: list[str] = []
        self._bytes = 0

    @property
    def content(self) -> str:
        """All that was said."""
        return "".join(self._contents)

    def go_on(self, so_far: str) -> None:
        """Begin with the text that another attempt has left; one as long as may be ends at once."""
        self._contents, self._bytes = [so_far], len(so_far.encode())
        if self._bytes >= ANSWER_MAX_BYTES:
            self.end(Ending("length"))

    def add(self, content: str) -> str:
        """Take what the model has said and give what of it fits; at the bound the text ends."""
        encoded = content.encode()
        room = ANSWER_MAX_BYTES - self._bytes
        if len(encoded) > room:
            # A character that the cut goes through is left out.
            content = encoded[:room].decode(errors="ignore")
            self.end(Ending("length"))
        self._contents.append(content)
        self._bytes += len(encoded)
        return content

    def number(self) -> int:
        """Give the next chunk its sequence."""
        self.sequence += 1
        return self.sequence

    def number_reasoning(self) -> int:
        """Give the next chunk of reasoning its sequence."""
        self.reasoning_sequence += 1
        return self.reasoning_sequence

    def end(self, ending: Ending) -> None:
        """End it, unless it has ended."""
        self.ending = self.ending or ending
