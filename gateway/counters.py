"""What is counted while serving: plain numbers, because the hot path adds to them."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Since the start of the process.

    They count sockets and frames, the canary's too: it is one of them, and the hot path asks nobody
    whose a frame is. The gauges of connections and sessions leave it out.
    """

    connections_opened: int = 0
    strangers_dropped: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    frames_held: int = 0
    submitted: int = 0
    outcomes_unknown: int = 0
    duplicates: int = 0
    claims_missing: int = 0
    redis_failures: int = 0
    limits_local: int = 0
    resumed: int = 0
    not_recovered: int = 0
    snapshots: int = 0
    snapshots_failed: int = 0
    closed: dict[int, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    limited: dict[str, int] = field(default_factory=dict)

    def count_closed(self, code: int) -> None:
        """Count a socket that this gateway closed with `code`."""
        self.closed[code] = self.closed.get(code, 0) + 1

    def count_refused(self, code: str) -> None:
        """Count an error that a client was told, by its code."""
        self.refused[code] = self.refused.get(code, 0) + 1

    def count_limited(self, limit: str) -> None:
        """Count that a client met a limit, by its name."""
        self.limited[limit] = self.limited.get(limit, 0) + 1
