"""The sockets of which it is not known who they are: bounded, and the oldest goes first. Pure.

Who comes in earnest says within a moment what he wants, so a flood of those who say nothing, or one
letter after the other, throws its own out. Their time is bounded too: the handshake has one limit
as a whole, and so has the first frame.
"""

from collections.abc import Iterator
from typing import Protocol

from gateway.counters import Counters


class Stranger(Protocol):
    """A socket."""

    def cut(self) -> None:
        """Close it at once, without a word."""


class Strangers:
    """`most` at once."""

    def __init__(self, most: int, counters: Counters) -> None:
        self._most = most
        self._counters = counters
        self._all: dict[Stranger, None] = {}

    def __iter__(self) -> Iterator[Stranger]:
        return iter(list(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def add(self, stranger: Stranger) -> None:
        """Somebody has come; the one who has been silent longest goes if there are too many."""
        self._all.pop(stranger, None)
        self._all[stranger] = None
        while len(self._all) > self._most:
            oldest = next(iter(self._all))
            del self._all[oldest]
            self._counters.strangers_dropped += 1
            oldest.cut()

    def discard(self, stranger: Stranger) -> None:
        """It is known who it is, or it has gone."""
        self._all.pop(stranger, None)
