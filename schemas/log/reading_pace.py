"""How long a reader's fetch may wait, by how often records come. Pure: the clock is an argument.

A fetch that waits is answered when there are so many bytes, or after so many milliseconds. Who
reads much gathers, which makes few, large fetches. Who reads little is told of a record at once,
and asks seldom: a fetch that brings nothing costs the broker and us as much as one that does. And
where nothing comes at all, or a record alone, the reader rests: its fetch waits for seconds, and is
answered by the first record just as soon.

What a waiting fetch does not ask for waits for it: a broker answers a connection's requests one at
a time. So whoever follows a shard anew ends the rest (`followed`), and gives up the fetch that was
asked in it (`schemas.log.fetch_in_flight`).
"""

from collections import deque
from typing import NamedTuple

BUSY_FETCHES = 48
BUSY_S = 2.0
"""So many fetches with records within this are much: one answer makes fewer, and who asks the next
question waits for them. Gathering, there are more as long as much comes (33 a second at 30 ms)."""
ALONE_S = 2.0
"""Records that come so long after the last ones wake nobody: the next may be as far away."""
AWAKE_S = 2.0
"""So long after a shard was followed anew no fetch waits long: the next one may follow soon."""
REST_WAIT_MAX_MS = 3000
LOOKS_A_LIMIT = 10
"""So many fetches are answered at rest within the limit after which a reader is called silent."""


class Fetch(NamedTuple):
    """What a fetch waits for."""

    min_bytes: int
    max_wait_ms: int


AT_ONCE = Fetch(1, 100)
"""Unless more is asked for. A shard that is followed anew waits for the fetch in flight, so that
must not be long."""
UNWATCHED = Fetch(1, 500)
"""Of who reads for nobody that watches, while little comes."""


def rest_wait_ms(stall_limit_s: float) -> int:
    """Give how long a fetch may wait at rest, of who is ended when none is answered for so long."""
    return max(1, min(REST_WAIT_MAX_MS, int(stall_limit_s * 1000 / LOOKS_A_LIMIT)))


class ReadingPace:
    """`now` is what the next fetch waits for.

    `awake`: what that is while little comes. `gather`: while much comes; None: as `awake`.
    `rest_ms`: so long one waits while nothing comes, None: as `awake`.
    """

    def __init__(
        self, awake: Fetch = AT_ONCE, *, gather: Fetch | None = None, rest_ms: int | None = None
    ) -> None:
        self._awake = awake
        self._gather = gather
        self._anew = Fetch(1, min(AT_ONCE.max_wait_ms, awake.max_wait_ms))
        self._rest = Fetch(1, max(rest_ms, awake.max_wait_ms)) if rest_ms is not None else awake
        self._came_s = deque([float("-inf")] * BUSY_FETCHES, maxlen=BUSY_FETCHES)
        self._awake_until_s = float("-inf")
        self.now = awake

    @property
    def rests(self) -> bool:
        """Whether a fetch may wait for longer than anybody who follows anew should."""
        return self.now.max_wait_ms > self._awake.max_wait_ms

    def fetched(self, now_s: float, *, records: bool) -> None:
        """Take that a fetch was answered, with records or without any."""
        alone = now_s - self._came_s[-1] > ALONE_S
        if records:
            self._came_s.append(now_s)
        if self._gather is not None and now_s - self._came_s[0] < BUSY_S:
            self.now = self._gather
        elif now_s < self._awake_until_s:
            self.now = self._anew
        elif records and not alone:
            self.now = self._awake
        else:
            self.now = self._rest

    def followed(self, now_s: float) -> None:
        """Take that a shard is followed anew: the next fetches do not wait long."""
        self._awake_until_s = now_s + AWAKE_S
        if self.now != self._gather:
            self.now = self._anew
