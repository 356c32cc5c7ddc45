"""A dead letter as it is read from its topic, and whether it was redriven. Pure.

That a letter was redriven is a record in the same topic, written after the message is back in its
own (`redriven`: the letter's number). The alternative, to look for the message in its topic, means
reading days of the log for each `list`; and what makes a second redrive harmless is not this
memory but the message's id (see `again`): whoever is killed between the two writes only puts it
once more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from schemas.events import (
    SessionEvent,
    UndecodableEvent,
    UserEvent,
    decode_session_event,
    decode_user_event,
)
from schemas.log.dead_letter import (
    OF_THE_LETTER,
    OFFSET,
    PARTITION,
    REASON,
    SHA256,
    SIZE,
    TOPIC,
    TRIES,
)
from schemas.topics import SESSION_LOG, USER_MESSAGES

RETRIES_EXHAUSTED = "retries_exhausted"
REDRIVEN, REDRIVEN_AS = "redriven", "redriven-as"


class BadNumber(ValueError):
    """It is no letter's number."""


class OriginalGone(Exception):
    """The letter has the head of its original alone, and the log no longer holds the rest."""


@dataclass(frozen=True, slots=True, order=True)
class LetterNumber:
    """A letter's number: where it lies in `dead_letters`."""

    shard: int
    offset: int

    def __str__(self) -> str:
        """Give it as people write it."""
        return f"{self.shard}.{self.offset}"


@dataclass(frozen=True, slots=True)
class Stored:
    """A record of the topic as it was read."""

    number: LetterNumber
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter; `redriven_as` says where the message lies now, None if nobody redrove it.

    Of a large original `value` is the head alone; `sha256` is then the hash of the whole, else
    empty, and `size` says how many bytes the whole has.
    """

    number: LetterNumber
    timestamp_ms: int
    key: bytes | None
    value: bytes
    topic: str
    partition: str
    offset: str
    reason: str
    tries: str
    headers: tuple[tuple[str, bytes], ...] = field(default=())
    redriven_as: str | None = None
    size: str = ""
    sha256: str = ""

    @property
    def source(self) -> str:
        """Where the original lay."""
        return f"{self.topic}.{self.partition}.{self.offset}"

    @property
    def exhausted(self) -> bool:
        """Whether it is a message that ended as an error, not a record that was not read."""
        return self.topic == USER_MESSAGES and self.reason == RETRIES_EXHAUSTED

    def event(self) -> UserEvent | SessionEvent | None:
        """What the original says, None if that can't be read."""
        try:
            if self.topic == USER_MESSAGES:
                return decode_user_event(self.value)
            return decode_session_event(self.value) if self.topic == SESSION_LOG else None
        except UndecodableEvent:
            return None


def number_of(text: str) -> LetterNumber:
    """Read a letter's number. Raises BadNumber."""
    shard, dot, offset = text.partition(".")
    if not dot or not (shard + offset).isascii() or not (shard.isdigit() and offset.isdigit()):
        raise BadNumber(f"{text!r} is no letter: the list has their numbers, such as 0.17")
    return LetterNumber(int(shard), int(offset))


def letters(records: Iterable[Stored]) -> list[Letter]:
    """Give the letters among the records, oldest first, each with what became of it.

    Worker and persister both read `user_messages`, so a record that nobody can read is two letters,
    and a process killed after it wrote one writes it again: what was redriven by one is by all.
    """
    found: list[Letter] = []
    redriven: dict[str, str] = {}
    for record in records:
        headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
        if REDRIVEN in headers:
            redriven.setdefault(headers[REDRIVEN], headers.get(REDRIVEN_AS, ""))
        else:
            found.append(_letter(record, headers))
    by_original = {
        _original(letter): redriven[str(letter.number)]
        for letter in found
        if str(letter.number) in redriven
    }
    return [replace(each, redriven_as=by_original.get(_original(each))) for each in found]


def whole(letter: Letter, original: bytes | None) -> Letter:
    """Give a letter that was cut with its original, as it was read at its place again.

    Raises:
        OriginalGone: it is not that record.
    """
    if hashlib.sha256(original or b"").hexdigest() != letter.sha256:
        raise OriginalGone(f"what lies at {letter.source} now is another record than it was")
    return replace(letter, value=original or b"", sha256="")


def same_original(one: Letter, other: Letter) -> bool:
    """Whether redriving the one is redriving the other."""
    return _original(one) == _original(other)


def _letter(record: Stored, headers: dict[str, str]) -> Letter:
    return Letter(
        record.number,
        record.timestamp_ms,
        record.key,
        record.value or b"",
        topic=headers.get(TOPIC, "?"),
        partition=headers.get(PARTITION, "?"),
        offset=headers.get(OFFSET, "?"),
        reason=headers.get(REASON, "?"),
        tries=headers.get(TRIES, "?"),
        size=headers.get(SIZE, ""),
        sha256=headers.get(SHA256, ""),
        headers=tuple((n, v or b"") for n, v in record.headers if n not in OF_THE_LETTER),
    )


def _original(letter: Letter) -> tuple[object, ...]:
    if "?" in (letter.topic, letter.partition, letter.offset):
        return (letter.number,)
    return (letter.source, letter.exhausted)
