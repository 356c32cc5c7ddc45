"""Which shards a gateway reads no more: those that nobody has followed for a while. Pure."""

from collections.abc import Collection, Iterable

UNNEEDED_AFTER_S = 60.0
"""Whoever comes back sooner, with a reload or over a lost connection, is served from memory."""


class Unneeded:
    """Remembers since when nobody has followed a session of a shard that is read."""

    def __init__(self) -> None:
        self._since_s: dict[int, float] = {}

    def after(self, read: Iterable[int], followed: Collection[int], now_s: float) -> list[int]:
        """Give the shards among `read` that have not been in `followed` for UNNEEDED_AFTER_S."""
        since_s = {
            shard: self._since_s.get(shard, now_s) for shard in read if shard not in followed
        }
        over = [shard for shard, since in since_s.items() if now_s - since >= UNNEEDED_AFTER_S]
        for shard in over:
            del since_s[shard]
        self._since_s = since_s
        return over
