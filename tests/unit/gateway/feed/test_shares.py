"""The memory of all shard logs is one budget of the process.

Seen: 32 MiB a shard, so that 100 shards were 3.2 GB in a gateway of one core.
"""

from hypothesis import given
from hypothesis import strategies as st

from gateway.feed.followers import Followers
from gateway.feed.shares import FOLLOWED_WEIGHT, shares
from schemas.limits import SHARD_LOG_MAX_BYTES
from schemas.shard_log import Record, ShardLog

MIB = 1024 * 1024


@given(st.integers(MIB, 4096 * MIB), st.integers(1, 1000), st.sets(st.integers(0, 999)))
def test_together_they_take_the_budget_at_most(
    budget_bytes: int, shards: int, followed: set[int]
) -> None:
    sizes = shares(budget_bytes, shards, followed)
    assert len(sizes) == shards
    assert sum(sizes) <= budget_bytes
    assert max(sizes) <= SHARD_LOG_MAX_BYTES


def test_what_is_followed_comes_first() -> None:
    sizes = shares(256 * MIB, 100, {3, 7})
    assert sizes[3] == sizes[7] == FOLLOWED_WEIGHT * sizes[0]
    assert shares(256 * MIB, 8, set()) == [32 * MIB] * 8


def test_a_shard_log_that_is_made_smaller_lets_the_oldest_go_at_once() -> None:
    log = ShardLog(0)
    log.append([Record(offset, 0, "s", b"x" * 10_000) for offset in range(100)])
    log.resize(50_000)
    assert log.bytes_in_memory <= 50_000
    assert (log.end, log.max_bytes) == (100, 50_000)
    assert log.start == 100 - len(log.read("s", log.start))


class Follower:
    def __init__(self, shard: int) -> None:
        self.session_id, self.shard = f"s{shard}", shard

    def lacks_only(self, _offset: int) -> bool:
        return False

    def give(self, frame: bytes) -> None:
        pass

    def wake(self, *_: object) -> None:
        pass

    def lose_position(self) -> None:
        pass


def test_a_shard_is_followed_as_long_as_somebody_does() -> None:
    followers = Followers(1)
    one, other, third = Follower(3), Follower(3), Follower(5)
    for each in (one, other, third):
        followers.add(each)
    assert followers.shards() == {3, 5}
    followers.remove(one)
    followers.remove(third)
    assert followers.shards() == {3}
    followers.remove(other)
    followers.remove(other)
    assert followers.shards() == set()
