"""Paced batching: when the text that waits leaves as the next chunk of an answer.

The first text leaves at once. From then on a chunk leaves when the one before is acknowledged and
`chunk_every_s` has passed since it left, and it carries everything that has come meanwhile. So an
answer makes at most 66 chunks a second, a slow model loses nothing, a fast one is cheap, and a
busy log means bigger chunks, never a growing queue: when `waiting_max_bytes` wait, the model is
not read further (`full`). Reasoning is paced with the text, in the order in which the two came: a
chunk is of one kind. After `alive_after_s` without a chunk a sign of life is due. Whether one
is due is looked at by the tick of the process, the less often the more answers run.

Pure; times are seconds on any clock that only goes forward.
"""

from collections import deque
from typing import NamedTuple

from schemas.limits import ALIVE_EVERY_S

WAITING_MAX_BYTES = 16 * 1024
CHUNK_MAX_BYTES = 16 * 1024
TICK_LEAST_S = 0.005
TICK_MOST_S = 0.1


def tick_every_s(running: int, chunk_every_s: float) -> float:
    """Say how long after a tick the next one comes, with so many running answers.

    Few answers are looked after three times as often as their chunks may leave: it costs nothing,
    and nothing waits for long. From 20 on the records of a process a second stay bounded: 40 ms at
    50 answers, 65 at 100, never more than TICK_MOST_S. At 25 frames a second text runs smoothly.
    """
    if running <= 4:
        return max(TICK_LEAST_S, chunk_every_s / 3)
    if running <= 10:
        return max(TICK_LEAST_S, chunk_every_s / 2)
    if running <= 20:
        return max(TICK_LEAST_S, chunk_every_s)
    return max(chunk_every_s, min(0.015 + 0.0005 * running, TICK_MOST_S))


class Cut(NamedTuple):
    """A chunk's content, and of which kind it is."""

    content: str
    is_reasoning: bool


class Pacing:
    """The text of one attempt between the model and the log; at most one chunk is in flight.

    The text must be encodable as UTF-8. One `add` may go over the bound, but none should follow
    while `full`: then at most the bound and one read of the model wait here.
    """

    def __init__(
        self,
        now_s: float,
        *,
        chunk_every_s: float,
        alive_after_s: float = ALIVE_EVERY_S,
        waiting_max_bytes: int = WAITING_MAX_BYTES,
        chunk_max_bytes: int = CHUNK_MAX_BYTES,
    ) -> None:
        self.in_flight = False
        self._chunk_every_s = chunk_every_s
        self._alive_after_s = alive_after_s
        self._waiting_max_bytes = waiting_max_bytes
        self._chunk_max_bytes = chunk_max_bytes
        self._waiting: deque[Cut] = deque()
        self._waiting_bytes = 0
        self._next_chunk_at = now_s
        self._alive_at = now_s + alive_after_s
        self._ended = False

    @property
    def full(self) -> bool:
        """As much waits as may: don't read the model until a chunk has left."""
        return self._waiting_bytes >= self._waiting_max_bytes

    @property
    def empty(self) -> bool:
        """Nothing waits and nothing is in flight: everything added is in the log."""
        return not self._waiting and not self.in_flight

    def add(self, content: str, *, is_reasoning: bool = False) -> None:
        """Put text, or reasoning, behind what waits."""
        if content:
            self._waiting.append(Cut(content, is_reasoning))
            self._waiting_bytes += len(content.encode())

    def end(self) -> None:
        """Say that no more text comes: what waits need not wait for company any more."""
        self._ended = True

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._waiting_bytes = 0

    def take(self, now_s: float) -> Cut | None:
        """Give the chunk that leaves now, or None. It is in flight until `acknowledged`."""
        due_at = self.due_at()
        if due_at is None or now_s < due_at:
            return None
        self.in_flight = True
        self._next_chunk_at = now_s + self._chunk_every_s
        self._alive_at = now_s + self._alive_after_s
        return self._cut()

    def acknowledged(self) -> None:
        """Note that the chunk in flight is in the log."""
        self.in_flight = False

    def due_at(self) -> float | None:
        """Say from when `take` gives a chunk; None: not before an acknowledgement or more text."""
        if self.in_flight or not self._waiting:
            return None
        return float("-inf") if self._ended else self._next_chunk_at

    def alive_at(self) -> float:
        """Say from when a sign of life is due, unless a chunk leaves before."""
        return self._alive_at

    def alive_sent(self, now_s: float) -> None:
        """Note that a sign of life has left."""
        self._alive_at = now_s + self._alive_after_s

    def _cut(self) -> Cut:
        """Take what waits of the first kind, up to the bound, never inside a character."""
        is_reasoning = self._waiting[0].is_reasoning
        pieces: list[str] = []
        while self._waiting and self._waiting[0].is_reasoning is is_reasoning:
            pieces.append(self._waiting.popleft().content)
        content = "".join(pieces)
        encoded = content.encode()
        chunk = content
        if len(encoded) > self._chunk_max_bytes:
            # A character that the cut goes through is ignored here, and begins the next chunk.
            chunk = encoded[: self._chunk_max_bytes].decode(errors="ignore")
            self._waiting.appendleft(Cut(content[len(chunk) :], is_reasoning))
        self._waiting_bytes -= len(chunk.encode())
        return Cut(chunk, is_reasoning)
