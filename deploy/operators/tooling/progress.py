"""One line on a terminal that says how far a long work is; nothing where nobody looks."""

from __future__ import annotations

import sys

EVERY_S = 0.1


class Progress:
    """Counts up to `total`; `now_s` is the monotonic time."""

    def __init__(self, total: int, what: str, began_s: float) -> None:
        self._total = max(total, 1)
        self._what = what
        self._began_s = began_s
        self._shown_at_s = began_s
        self._shown = sys.stderr.isatty()
        self.done = 0

    def add(self, count: int, now_s: float) -> None:
        """So many more are done."""
        self.done += count
        if self._shown and now_s - self._shown_at_s >= EVERY_S:
            self._shown_at_s = now_s
            rate = self.done / max(now_s - self._began_s, 0.001)
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
