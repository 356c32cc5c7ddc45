"""How much of the process's memory each shard log may take: the bound is the process's. Pure.

A shard that somebody follows gets more than one that nobody does: from it slow sockets are served,
and those that come back. What is kept for the others is for those that are followed next.
"""

from collections.abc import Collection

from schemas.limits import SHARD_LOG_MAX_BYTES

FOLLOWED_WEIGHT = 8


def shares(budget_bytes: int, shards: int, followed: Collection[int]) -> list[int]:
    """Give each shard's bytes, together at most the budget, none above SHARD_LOG_MAX_BYTES."""
    weights = [FOLLOWED_WEIGHT if shard in followed else 1 for shard in range(shards)]
    bytes_a_weight = budget_bytes // sum(weights)
    return [min(weight * bytes_a_weight, SHARD_LOG_MAX_BYTES) for weight in weights]
