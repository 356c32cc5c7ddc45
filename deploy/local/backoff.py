"""How long to wait before a dead process is started again.

The first restart is nearly at once (a crash should cost a user as little as possible); a process
that keeps dying waits longer and longer, so that it neither eats the machine nor fills the disk.
A process that lived for a while has earned a fresh start.
"""

from __future__ import annotations

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 15.0
SETTLED_AFTER_S = 20.0


def failures_in_a_row(before: int, lived_s: float) -> int:
    """How often it has now died without having settled in between."""
    return 1 if lived_s >= SETTLED_AFTER_S else before + 1


def restart_delay_s(failures: int) -> float:
    """Seconds until the next start: 0.2, 0.4, 0.8 … 15."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 20))
