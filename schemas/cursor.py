"""A cursor is a place in the log that a client can keep: `epoch.shard.offset`.

The epoch makes it safe to compare: offsets of topics that were made anew, or with another number of
partitions, begin again, and a cursor of another epoch is never guessed at.
"""

import re
from dataclasses import dataclass

_FORM = re.compile(r"(\d{1,19})\.(\d{1,9})\.(-1|\d{1,19})", re.ASCII)


class BadCursor(ValueError):
    """Not of the form epoch.shard.offset: treat the reader as one without a cursor."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of one record; `offset` may be -1 for the place before the first."""

    epoch: int
    shard: int
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.shard}.{self.offset}"


def parse(text: str) -> Cursor:
    """Read `epoch.shard.offset`, as `str` of a cursor gives it.

    Raises:
        BadCursor: any other form.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise BadCursor(f"cursor {text[:80]!r} is not epoch.shard.offset")
    return Cursor(*(int(part) for part in form.groups()))
