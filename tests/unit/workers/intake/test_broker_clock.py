"""The broker's clock, as far as this process knows it."""

from hypothesis import given
from hypothesis import strategies as st

from workers.intake.broker_clock import FORGOTTEN_AFTER_S, BrokerClock

AHEAD_S = 1_000_000.0


def test_nothing_is_known_before_something_was_heard() -> None:
    assert BrokerClock().own_time_s(1) is None


def test_what_was_heard_soonest_after_it_came_tells_the_clock() -> None:
    clock = BrokerClock()
    for late_s in (3.0, 0.25, 6.0):
        clock.heard(int((AHEAD_S + 10.0 - late_s) * 1000), 10.0)
    assert clock.own_time_s(int((AHEAD_S + 4.0) * 1000)) == 4.25


def test_a_clock_that_was_put_back_is_believed_after_a_while() -> None:
    clock = BrokerClock()
    clock.heard(int((AHEAD_S + 100.0) * 1000), 100.0)
    for now_s in (100.0 + FORGOTTEN_AFTER_S, 100.0 + 2 * FORGOTTEN_AFTER_S):
        clock.heard(int((AHEAD_S - 50.0 + now_s) * 1000), now_s)
    assert clock.own_time_s(int(AHEAD_S * 1000)) == 50.0


@given(st.lists(st.tuples(st.floats(0.0, 300.0), st.floats(0.0, 30.0)), min_size=1))
def test_nothing_ever_seems_older_than_it_is(heard: list[tuple[float, float]]) -> None:
    clock = BrokerClock()
    for now_s, late_s in sorted(heard):
        clock.heard(int((AHEAD_S + now_s - late_s) * 1000), now_s)
        own_s = clock.own_time_s(int(AHEAD_S * 1000))
        assert own_s is not None
        assert own_s >= -1e-6
