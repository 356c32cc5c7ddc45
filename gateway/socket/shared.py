"""What the connections of a process share."""

from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.counters import Counters
from gateway.feed.followers import Followers
from gateway.feed.tail import Tail
from gateway.identity.hook import Hook
from gateway.identity.tokens import Tokens
from gateway.limits.limiter import Limiter
from gateway.snapshot.snapshots import Snapshots
from gateway.socket.frame_bucket import FrameBuckets
from gateway.submit.submit import Submitter


@dataclass(frozen=True, slots=True)
class Shared:
    """`spawn` starts a task that the server waits for.

    `tokens` and `hook` None: there is no authentication.
    """

    epoch: int
    shards: int
    tail: Tail
    followers: Followers
    submitter: Submitter
    snapshots: Snapshots
    counters: Counters
    limiter: Limiter
    models: Collection[str]
    idle_limit_s: float
    frame_buckets: FrameBuckets
    spawn: Callable[[Coroutine[Any, Any, None]], object]
    tokens: Tokens | None = None
    hook: Hook | None = None
