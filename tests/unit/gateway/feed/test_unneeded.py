"""Which shards are read no more."""

from gateway.feed.unneeded import UNNEEDED_AFTER_S, Unneeded


def test_a_shard_is_left_when_nobody_has_followed_it_for_a_while() -> None:
    unneeded = Unneeded()
    assert unneeded.after([1, 2, 3], {2}, 100.0) == []
    assert unneeded.after([1, 2, 3], {2}, 100.0 + UNNEEDED_AFTER_S - 1) == []
    assert unneeded.after([1, 2, 3], {2}, 100.0 + UNNEEDED_AFTER_S) == [1, 3]
    assert unneeded.after([2], {2}, 200.0) == []


def test_whoever_comes_back_in_between_begins_the_while_anew() -> None:
    unneeded = Unneeded()
    unneeded.after([1], set(), 100.0)
    assert unneeded.after([1], {1}, 150.0) == []
    assert unneeded.after([1], set(), 155.0) == []
    assert unneeded.after([1], set(), 155.0 + UNNEEDED_AFTER_S - 1) == []
    assert unneeded.after([1], set(), 155.0 + UNNEEDED_AFTER_S) == [1]


def test_what_is_left_is_forgotten() -> None:
    unneeded = Unneeded()
    unneeded.after([1], set(), 0.0)
    assert unneeded.after([1], set(), UNNEEDED_AFTER_S) == [1]
    # Read again, and left again: the while is a new one.
    assert unneeded.after([1], set(), UNNEEDED_AFTER_S + 1) == []
