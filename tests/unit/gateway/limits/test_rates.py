"""The rate that a gateway keeps by itself while Redis is away."""

from gateway.limits import rates as module
from gateway.limits.rates import Rates


def test_so_many_at_once_then_one_at_its_time() -> None:
    rates = Rates(20)
    assert [rates.take("s", 100.0) for _ in range(21)] == [0] * 20 + [3000]
    assert rates.take("s", 102.0) == 1000
    assert rates.take("s", 103.0) == 0
    assert rates.take("s", 103.0) == 3000


def test_another_session_has_its_own() -> None:
    rates = Rates(1)
    assert (rates.take("s", 0.0), rates.take("other", 0.0)) == (0, 0)
    assert rates.take("s", 0.0) == 60_000


def test_no_limit_is_none() -> None:
    rates = Rates(0)
    assert {rates.take("s", 0.0) for _ in range(1000)} == {0}


def test_the_sessions_that_are_remembered_are_bounded() -> None:
    rates = Rates(1)
    for number in range(2 * module.REMEMBERED_MAX):
        rates.take(str(number), 0.0)
    assert len(rates._full_at_s) == module.REMEMBERED_MAX
    assert rates.take("0", 0.0) == 0
    assert rates.take(str(2 * module.REMEMBERED_MAX - 1), 0.0) == 60_000
