"""How long a reader's fetch may wait, by how often records come. Pure: the clock is an argument.

A fetch that waits is answered when there are so many bytes, or after so many milliseconds. Who
reads much gathers, which makes few, large fetches. Who reads little is told of a record at once,
and asks seldom: a fetch that brings nothing costs the broker and us as much as one that does.
"""

from collections import deque
from typing import NamedTuple

BUSY_FETCHES = 48
BUSY_S = 2.0
"""So many fetches with records within this are much: one answer makes fewer, and who asks the next
question waits for them. Gathering, there are more as long as much comes (33 a second at 30 ms)."""


class Fetch(NamedTuple):
    """What a fetch waits for."""

    min_bytes: int
    max_wait_ms: int


AT_ONCE = Fetch(1, 100)
"""Unless more is asked for. A shard that is followed anew waits for the fetch in flight, so that
must not be long."""
AT_REST = Fetch(1, 500)
"""Of who gathers, while little comes: it follows no shard anew but with its whole group."""


class ReadingPace:
    """`now` is what the next fetch waits for. `gather`: what it is while much comes."""

    def __init__(self, gather: tuple[int, int] | None, wait_ms: int = AT_ONCE.max_wait_ms) -> None:
        self._gather = Fetch(*gather) if gather is not None else None
        self._came_s = deque([float("-inf")] * BUSY_FETCHES, maxlen=BUSY_FETCHES)
        self.now = AT_ONCE._replace(max_wait_ms=wait_ms) if self._gather is None else AT_REST

    def fetched(self, now_s: float, *, records: bool) -> None:
        """Take that a fetch was answered, with records or without any."""
        if records:
            self._came_s.append(now_s)
        if self._gather is not None:
            busy = now_s - self._came_s[0] < BUSY_S
            self.now = self._gather if busy else AT_REST
