"""Who follows which session on this gateway: records come in, the sockets concerned are woken.

The sockets of one session are nearly always at the same position, so what one of them is sent is
made once and shared by all that ask for the same position in the same moment.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from gateway.feed.delivery import Batch, next_frames, readable, spliced
from gateway.socket.websocket import wire
from schemas.cursor import Cursor
from schemas.shard_log import Record, ShardLog


class Follower(Protocol):
    """What is woken: a connection."""

    session_id: str
    shard: int

    def lacks_only(self, offset: int) -> bool:
        """Whether the session's record there is all that it lacks, and its socket takes it."""

    def give(self, frame: bytes) -> None:
        """Here is that record, as it goes over the wire."""

    def wake(self, first_offset: int, feed: "Feed") -> None:
        """Records of the session have come, the first of them at `first_offset`."""

    def lose_position(self) -> None:
        """The shard log has lost its continuity: nothing can be promised from here on."""


class Feed:
    """A session's frames as they go over the wire, made once for each position asked for."""

    def __init__(self, log: ShardLog, session_id: str, epoch: int, shard: int) -> None:
        self._log = log
        self._session_id = session_id
        self._prefix = cursor_prefix(epoch, shard)
        self._made: dict[int, Batch] = {}

    def after(self, position: int) -> Batch:
        """Give the next frames, encoded for the socket. Raises PositionGone."""
        batch = self._made.get(position)
        if batch is None:
            batch = next_frames(self._log, self._session_id, position, self._prefix)
            batch.frames[:] = [wire(frame) for frame in batch.frames]
            self._made[position] = batch
        return batch


class Followers:
    """The connections of this gateway by session; those of `own_session` are its own, nobody's."""

    def __init__(self, epoch: int, own_session: str = "") -> None:
        self._epoch = epoch
        self._own_session = own_session
        self._by_session: dict[str, list[Follower]] = {}
        self._count = 0
        self._by_shard: Counter[int] = Counter()

    def __iter__(self) -> Iterator[Follower]:
        for followers in list(self._by_session.values()):
            yield from list(followers)

    @property
    def people(self) -> int:
        """Number of connections of others: the gateway's own must not look like a person."""
        return self._count - self.of(self._own_session)

    @property
    def sessions(self) -> int:
        """Number of sessions that others follow."""
        return len(self._by_session) - (self._own_session in self._by_session)

    def of(self, session_id: str) -> int:
        """Number of followers of a session."""
        return len(self._by_session.get(session_id, ()))

    def shards(self) -> set[int]:
        """Give the shards that somebody follows."""
        return {shard for shard, count in self._by_shard.items() if count}

    def add(self, follower: Follower) -> None:
        """Begin to follow; from now on it is woken."""
        self._by_session.setdefault(follower.session_id, []).append(follower)
        self._count += 1
        self._by_shard[follower.shard] += 1

    def remove(self, follower: Follower) -> None:
        """Stop following (nothing, if it did not)."""
        followers = self._by_session.get(follower.session_id, [])
        if follower in followers:
            followers.remove(follower)
            self._count -= 1
            self._by_shard[follower.shard] -= 1
            if not followers:
                del self._by_session[follower.session_id]

    def records_came(self, shard: int, records: Sequence[Record], log: ShardLog) -> None:
        """Tell the followers of the sessions that `records` (in `log` already) belong to."""
        came: dict[str, list[Record]] = {}
        for record in records:
            if record.session_id in self._by_session:
                came.setdefault(record.session_id, []).append(record)
        for session_id, own in came.items():
            followers = list(self._by_session[session_id])
            if len(own) == 1:
                followers = self._give(shard, own[0], followers)
            if followers:
                feed = Feed(log, session_id, self._epoch, shard)
                for follower in followers:
                    follower.wake(own[0].offset, feed)

    def _give(self, shard: int, record: Record, followers: list[Follower]) -> list[Follower]:
        """Give the record to whoever lacks nothing else, which is nearly everybody.

        Gives the others. Nothing is looked up for it, and nothing is made but the frame.
        """
        taking: list[Follower] = []
        others: list[Follower] = []
        for follower in followers:
            (taking if follower.lacks_only(record.offset) else others).append(follower)
        event = readable(record, record.session_id) if taking else None
        if event is not None:
            frame = wire(spliced(record, event, cursor_prefix(self._epoch, shard)))
            for follower in taking:
                follower.give(frame)
        return others

    def position_lost(self, shard: int) -> None:
        """Tell every follower of the shard that its position is gone."""
        for follower in self:
            if follower.shard == shard:
                follower.lose_position()


def cursor_prefix(epoch: int, shard: int) -> str:
    """Give what a shard's cursors begin with, the offset follows."""
    return str(Cursor(epoch, shard, 0))[:-1]
