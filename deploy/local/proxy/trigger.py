"""Where in its bytes a connection is cut: at a text, or so many bytes after it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trigger:
    """Cut at `text`, with the piece that holds it passed on (`forward`) or not.

    With `after_bytes` the cut is that many bytes after the text, and those are passed on.
    """

    text: bytes
    forward: bool = False
    after_bytes: int | None = None


class Watch:
    """Reads along on one connection, from now on."""

    def __init__(self, trigger: Trigger) -> None:
        self.trigger = trigger
        self._tail = b""  # the end of what was read, so that a text is found in two pieces, too
        self._left: int | None = None  # bytes until the cut, once the text was seen

    def passes(self, piece: bytes) -> int | None:
        """How many bytes of the piece still pass before the cut; None: it is not cut here."""
        if self._left is not None:
            return self._count(self._left, 0, len(piece))
        text, seen = self.trigger.text, self._tail + piece
        found = seen.find(text)
        if found < 0:
            self._tail = seen[max(0, len(seen) - len(text) + 1) :]
            return None
        if self.trigger.after_bytes is None:
            return len(piece) if self.trigger.forward else 0
        after = found + len(text) - len(self._tail)
        return self._count(self.trigger.after_bytes, after, len(piece))

    def _count(self, left: int, begin: int, end: int) -> int | None:
        if end - begin < left:
            self._left = left - (end - begin)
            return None
        return begin + left
