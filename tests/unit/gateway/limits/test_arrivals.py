"""Those who come at once are let in one after another, in their order, or sent away."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.arrivals import AGAIN_MAX_S, BURST_S, TOGETHER_S, WAIT_MAX_S, Arrivals, Turn
from gateway.limits.rules import Over


def waits(arrivals: Arrivals, count: int, now_s: float, address: str | None = None) -> list[float]:
    """How long each waits; -1 of one that is sent away."""
    found = [arrivals.arrive(address, now_s) for _ in range(count)]
    return [each.wait_s if isinstance(each, Turn) else -1.0 for each in found]


def test_a_few_wait_for_nothing() -> None:
    few = round(100 * BURST_S)
    assert waits(Arrivals(100, 0), few, 50.0) == [0.0] * few


def test_who_comes_alone_waits_for_nothing_however_few_may_come() -> None:
    for per_second in (1, 3, 10, 1000):
        arrivals = Arrivals(per_second, 0)
        assert all(waits(arrivals, 1, 10.0 * number) == [0.0] for number in range(5))


def test_a_storm_is_spread_and_what_does_not_fit_is_told_when_to_come_again() -> None:
    arrivals = Arrivals(100, 0)
    found = waits(arrivals, 10_000, 50.0)
    let_in = [wait_s for wait_s in found if wait_s >= 0]
    assert let_in == sorted(let_in)
    assert len(let_in) == round(100 * (BURST_S + WAIT_MAX_S))
    assert len({round(wait_s, 6) for wait_s in let_in}) == 1 + round(WAIT_MAX_S / TOGETHER_S)
    over = arrivals.arrive(None, 50.0)
    assert isinstance(over, Over)
    assert (over.limit, over.value) == ("connections_per_second", 100)
    assert over.retry_after_ms > 1000 * WAIT_MAX_S
    assert isinstance(arrivals.arrive(None, 50.0 + over.retry_after_ms / 1000), Turn)


def test_those_who_are_sent_away_are_told_a_time_each_and_all_find_room_then() -> None:
    arrivals, now_s = Arrivals(100, 0), 50.0
    first = [arrivals.arrive(None, now_s) for _ in range(1_000)]
    again = sorted(now_s + each.retry_after_ms / 1000 for each in first if isinstance(each, Over))
    assert len(again) > 700
    assert all(isinstance(arrivals.arrive(None, at_s), Turn) for at_s in again)
    for _ in range(100_000):
        arrivals.arrive(None, again[-1])
    over = arrivals.arrive(None, again[-1])
    assert isinstance(over, Over)
    assert over.retry_after_ms == 1000 * AGAIN_MAX_S


def test_an_address_has_a_rate_of_its_own_and_takes_nobody_elses_place() -> None:
    arrivals = Arrivals(1_000, 20)
    found = waits(arrivals, 500, 0.0, "203.0.113.5")
    assert found.count(-1.0) == 300
    assert max(waits(arrivals, 10, 0.0, "203.0.113.6")) <= 0.21 < WAIT_MAX_S
    over = arrivals.arrive("203.0.113.5", 0.0)
    assert isinstance(over, Over)
    assert (over.limit, over.value, over.retry_after_ms) == (
        "address_connections_per_second",
        20,
        50,
    )


def test_no_limit_is_none() -> None:
    assert set(waits(Arrivals(0, 0), 10_000, 0.0, "203.0.113.5")) == {0.0}


@given(st.lists(st.floats(0.0, 2.0), max_size=200), st.integers(1, 20))
def test_in_any_second_no_more_begin_than_the_rate_and_what_may_come_at_once(
    pauses_s: list[float], per_second: int
) -> None:
    arrivals, now_s, begun = Arrivals(per_second, 0), 0.0, list[float]()
    for pause_s in pauses_s:
        now_s += pause_s
        turn = arrivals.arrive(None, now_s)
        if isinstance(turn, Turn):
            begun.append(now_s + turn.wait_s)
    for index, first_s in enumerate(begun):
        within = [at_s for at_s in begun[index:] if at_s <= first_s + 1.0]
        at_once_s = max(BURST_S, 1.0 / per_second)  # one who comes alone waits for nothing
        assert len(within) <= (1.0 + at_once_s + TOGETHER_S) * per_second + 1
