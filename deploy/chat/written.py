"""An answer on a terminal, piece by piece: thoughts dimmed, the text as it means. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deploy.chat.marked import QUIET, Marked
from deploy.chat.screen import STARTED_AGAIN, Answer
from deploy.operators.tooling.conversation_text import ending, harmless
from schemas.transcript import Message

Piece = tuple[str, str]
"""What to write, and rich's style for it ("" is none)."""


class Written:
    """What stands there of one answer."""

    def __init__(self) -> None:
        self._answer = Answer()
        self._marked = Marked()
        self._last = "\n"
        self._thinking = False

    @property
    def clean(self) -> bool:
        """Whether the next line would begin at the edge."""
        return self._last == "\n"

    def more(self, message: Message) -> Iterator[Piece]:
        """Give what is new of it."""
        for text in self._answer.thoughts(message):
            yield from self._noted([("" if self._thinking or self.clean else "\n\n", "")])
            self._thinking = True
            yield from self._noted([(text, QUIET)])
        for text in self._answer.more(message):
            if self._thinking:
                self._thinking = False
                yield from self._noted([("\n" if self.clean else "\n\n", "")])
            if text == STARTED_AGAIN:
                self._marked = Marked()
                yield from self._noted([(text, QUIET)])
            else:
                yield from self._noted(self._marked.more(text))

    def end(self) -> Iterator[Piece]:
        """Give what was held back, and the end of the last line."""
        yield from self._noted(self._marked.end())
        if not self.clean:
            yield from self._noted([("\n", "")])

    def _noted(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for text, style in pieces:
            if text:
                self._last = text[-1]
                yield text, style


def whole(message: Message) -> Iterator[Piece]:
    """Give a message that has ended: what was said, the answer, how it ended."""
    prompt = message.prompt.content if message.prompt else ""
    for line in prompt.split("\n"):
        yield f"> {harmless(line)}\n", ""
    yield "\n", ""
    written = Written()
    yield from written.more(message)
    yield from written.end()
    yield f"\n-- {harmless(ending(message))}\n\n", QUIET
