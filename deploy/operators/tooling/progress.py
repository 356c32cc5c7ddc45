"""One line on a terminal that says how far a long work is; nothing where nobody looks."""

from __future__ import annotations

import sys

EVERY_S = 0.1


class Progress:
    """Counts up to `total`; `now` is the monotonic time in seconds."""

    def __init__(self, total: int, what: str, began: float) -> None:
        self._total = max(total, 1)
        self._what = what
        self._began = began
        self._shown_at = began
        self._shown = sys.stderr.isatty()
        self.done = 0

    def add(self, count: int, now: float) -> None:
        """So many more are done."""
        self.done += count
        if self._shown and now - self._shown_at >= EVERY_S:
            self._shown_at = now
            rate = self.done / max(now - self._began, 0.001)
            left_s = max(0, self._total - self.done) / max(rate, 1)
            text = (
                f"{self.done:,} of {self._total:,} {self._what}, {rate:,.0f}/s, {left_s:.0f} s left"
            )
            percent = min(100, 100 * self.done // self._total)
            print(f"\r{percent:3} %  {text}\033[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave the line empty."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
