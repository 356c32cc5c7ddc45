"""Restarts: at once at first, then slower, and forgiven after a quiet while."""

from deploy.local.backoff import (
    LONGEST_DELAY_S,
    SETTLED_AFTER_S,
    failures_in_a_row,
    restart_delay_s,
)


def test_the_delay_doubles_up_to_a_limit() -> None:
    assert [restart_delay_s(n) for n in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert restart_delay_s(50) == LONGEST_DELAY_S
    assert restart_delay_s(10_000) == LONGEST_DELAY_S


def test_quick_deaths_add_up() -> None:
    assert failures_in_a_row(0, 0.1) == 1
    assert failures_in_a_row(3, SETTLED_AFTER_S - 1) == 4


def test_a_long_life_is_a_fresh_start() -> None:
    assert failures_in_a_row(7, SETTLED_AFTER_S) == 1
