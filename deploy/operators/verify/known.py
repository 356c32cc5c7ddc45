"""What is kept of a shard's records besides the fold, which says what counts.

For every message: when and where it was accepted, who asked first that it be stopped, which
attempts were started at all, and checksums of the chunks of the current attempt. Those are what the
rows are compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from zlib import crc32

from schemas.transcript import Message, Place, Transcript


@dataclass(slots=True)
class Chunks:
    """The chunks of an attempt: how many, with which numbers, and what they say."""

    count: int = 0
    first: int = 0
    last: int = 0
    text: int = 0
    numbers: int = 0

    def add(self, number: int, sequence: int, content: str) -> None:
        """Take the next chunk."""
        self.count += 1
        self.first = self.first or number
        self.last = number
        self.text = crc32(b"%d;" % sequence, crc32(content.encode(), self.text))
        self.numbers = crc32(b"%d;" % number, self.numbers)


@dataclass(slots=True)
class Text:
    """What an answer says, or its model thought, as one text, however it was cut."""

    size: int = 0
    sum: int = 0

    def add(self, content: str) -> None:
        """Take the next chunk's."""
        encoded = content.encode()
        self.size += len(encoded)
        self.sum = crc32(encoded, self.sum)


@dataclass(slots=True)
class Asked:
    """The first user_message record of an id, and the first cancel behind it.

    Of texts that may be long, or are many, the checksums.
    """

    offset: int
    logged_ms: int
    content: int
    user: int
    cancel_offset: int | None = None
    cancelled_by: int = 0
    cancelled_at: float = 0.0
    again: list[Asked] = field(default_factory=list)
    """Later records of the id: one of them is the first if those before were forgotten."""

    def cancel(self, offset: int, user: int, at: float) -> None:
        """Note who asks that it be stopped, unless somebody has before."""
        for each in (self, *self.again):
            if each.cancel_offset is None:
                each.cancel_offset, each.cancelled_by, each.cancelled_at = offset, user, at

    def first_of(self, stands: Callable[[int], bool]) -> Asked | None:
        """Give the first whose record at that offset stands, with those behind it; None: none."""
        left = [each for each in (self, *self.again) if stands(each.offset)]
        if not left:
            return None
        left[0].again = left[1:]
        return left[0]


@dataclass(slots=True)
class Answered:
    """What the session log says of a message."""

    message: Message
    offset: int
    logged_ms: int
    whole: bool
    attempts: tuple[str, ...] = ()
    chunks: Chunks = field(default_factory=Chunks)
    text: Text = field(default_factory=Text)
    reasoning: Text = field(default_factory=Text)
    holes: int = 0


@dataclass(slots=True)
class Session:
    """What was asked, the fold of what was answered, and the number that the next chunk gets."""

    asked: dict[str, Asked] = field(default_factory=dict)
    transcript: Transcript = field(
        default_factory=lambda: Transcript(keep_text=False, keep_reasoning=False)
    )
    answered: dict[str, Answered] = field(default_factory=dict)
    next_number: int = 1
    spared: set[str] = field(default_factory=set)
    """Forgotten messages of which a row of user_messages is no fault."""

    def forgets(self, epoch: int, offset: int) -> bool:
        """Whether what was said there was said before the session was forgotten."""
        return self.transcript.forgets(Place(epoch, offset))


def sum_of(user: str | None) -> int:
    """Give a checksum of a name; nobody's is another than that of any text."""
    return -1 if user is None else crc32(user.encode())
