"""How long a fetch may wait."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.log.reading_pace import AT_ONCE, AT_REST, BUSY_FETCHES, BUSY_S, Fetch, ReadingPace

GATHER = Fetch(65_536, 30)


def after(times_s: list[float], now_s: float) -> Fetch:
    """Give the pace at `now_s`, if fetches brought records at these times."""
    pace = ReadingPace(GATHER)
    for at_s in times_s:
        pace.fetched(at_s, records=True)
    pace.fetched(now_s, records=False)
    return pace.now


def test_who_does_not_gather_never_does() -> None:
    pace = ReadingPace(None)
    for number in range(100):
        pace.fetched(number / 100, records=True)
        assert pace.now == AT_ONCE


def test_a_single_record_now_and_then_begins_no_gathering() -> None:
    assert after([float(second) for second in range(100)], 100.0) == AT_REST


def test_many_begin_it_and_silence_ends_it() -> None:
    many = [number / 10 for number in range(BUSY_FETCHES)]
    assert after(many[1:], 0.8) == AT_REST
    assert after(many, 0.8) == GATHER
    assert after(many, BUSY_S + 0.01) == AT_REST


@given(st.lists(st.floats(0, 100), max_size=50), st.floats(100, 110))
def test_it_gathers_if_and_only_if_much_came_lately(times_s: list[float], now_s: float) -> None:
    lately = [at_s for at_s in times_s if now_s - at_s < BUSY_S]
    assert (after(sorted(times_s), now_s) == GATHER) is (len(lately) >= BUSY_FETCHES)
