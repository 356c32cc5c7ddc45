"""What a worker that was told to leave does with its running answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.handover import BEFORE_THE_END_S, ENOUGH, FIRST_S, LAST_S, SLICES, Durations, slices

LONGEST_S = 600.0
GRACE_S = 25.0


def known(*durations_s: float) -> Durations:
    durations = Durations(LONGEST_S)
    for each in durations_s:
        durations.ended(each)
    return durations


def test_of_nothing_known_nothing_is_concluded() -> None:
    assert not known(*[10.0] * (ENOUGH - 1)).ends_within(20.0, 1.0)
    assert known(*[10.0] * ENOUGH).ends_within(20.0, 1.0)


def test_what_ends_in_time_is_judged_by_those_that_took_longer_than_it_so_far() -> None:
    durations = known(*[10.0] * 50, *[60.0] * 50)
    assert not durations.ends_within(20.0, 1.0)  # one in two
    assert not durations.ends_within(20.0, 11.0)  # none
    assert durations.ends_within(20.0, 45.0)  # all


def test_what_must_end_in_time_does_whatever_is_known() -> None:
    assert known().ends_within(100.0, 500.0)
    assert not known().ends_within(99.0, 500.0)


def test_what_is_handed_over_leaves_early_in_slices_and_what_is_kept_before_the_end() -> None:
    running = [(number, 1.0) for number in range(100)]
    *early, last = slices(running, known(), GRACE_S)
    assert [each.at_s for each in early] == pytest.approx([1.0, 1.5, 2.0, 2.5, 3.0])
    assert [len(each.keys or ()) for each in early] == [20] * SLICES
    assert last == (GRACE_S - BEFORE_THE_END_S, None)


def test_what_can_end_is_not_handed_over() -> None:
    durations = known(*[10.0] * ENOUGH)
    assert slices([("short", 1.0)], durations, GRACE_S) == [(GRACE_S - BEFORE_THE_END_S, None)]
    [early, _] = slices([("short", 1.0), ("long", 11.0)], durations, GRACE_S)
    assert early == (FIRST_S, ["long"])


@given(st.integers(0, 300), st.floats(0.0, 700.0))
def test_everything_is_handed_over_once_and_within_the_grace_time(
    count: int, grace_s: float
) -> None:
    running = [(number, 0.0) for number in range(count)]
    *early, last = slices(running, known(), grace_s)
    handed_over = [key for each in early for key in each.keys or ()]
    assert handed_over in (list(range(count)), [])
    moments = [each.at_s for each in early]
    assert moments == sorted(moments)
    assert all(0.0 <= at_s <= LAST_S for at_s in moments)
    assert 0.0 <= last.at_s <= grace_s
    assert last.keys is None
