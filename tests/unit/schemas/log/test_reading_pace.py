"""How long a fetch may wait."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.log.reading_pace import (
    ALONE_S,
    AT_ONCE,
    AWAKE_S,
    BUSY_FETCHES,
    BUSY_S,
    LOOKS_A_LIMIT,
    REST_WAIT_MAX_MS,
    UNWATCHED,
    Fetch,
    ReadingPace,
    rest_wait_ms,
)

GATHER = Fetch(65_536, 30)
AT_REST = Fetch(1, 3_000)


def gathering() -> ReadingPace:
    return ReadingPace(UNWATCHED, gather=GATHER, rest_ms=AT_REST.max_wait_ms)


def after(times_s: list[float], now_s: float) -> Fetch:
    """Give the pace at `now_s`, if fetches brought records at these times."""
    pace = gathering()
    for at_s in times_s:
        pace.fetched(at_s, records=True)
    pace.fetched(now_s, records=False)
    return pace.now


def test_who_neither_gathers_nor_rests_never_does() -> None:
    pace = ReadingPace()
    for number in range(100):
        pace.fetched(number / 100, records=number % 3 == 0)
        assert pace.now == AT_ONCE
        assert not pace.rests


def test_a_single_record_now_and_then_begins_no_gathering() -> None:
    assert after([float(second) for second in range(100)], 100.0) == AT_REST


def test_many_begin_it_and_silence_ends_it() -> None:
    many = [number / 10 for number in range(BUSY_FETCHES)]
    assert after(many[1:], 0.8) == AT_REST
    assert after(many, 0.8) == GATHER
    assert after(many, BUSY_S + 0.01) == AT_REST


def test_a_second_record_wakes_who_rests_and_a_fetch_without_one_lets_it_rest() -> None:
    pace = gathering()
    assert (pace.now, pace.rests) == (UNWATCHED, False)
    pace.fetched(1.0, records=False)
    assert (pace.now, pace.rests) == (AT_REST, True)
    pace.fetched(2.0, records=True)
    pace.fetched(2.0 + ALONE_S, records=True)
    assert (pace.now, pace.rests) == (UNWATCHED, False)
    pace.fetched(3.0 + ALONE_S, records=False)
    assert pace.rests


def test_a_record_that_comes_alone_wakes_nobody() -> None:
    pace = gathering()
    for number in range(1, 10):
        pace.fetched((ALONE_S + 0.1) * number, records=True)
        assert pace.rests


def test_while_shards_are_followed_anew_no_fetch_waits_long() -> None:
    pace = gathering()
    pace.fetched(1.0, records=False)
    pace.followed(2.0)
    assert (pace.now, pace.rests) == (AT_ONCE, False)
    for records in (True, False):
        pace.fetched(1.9 + AWAKE_S, records=records)
        assert pace.now == AT_ONCE
    pace.fetched(2.0 + AWAKE_S, records=False)
    assert pace.now == AT_REST


def test_who_gathers_goes_on_while_shards_are_followed_anew() -> None:
    pace = gathering()
    for number in range(BUSY_FETCHES):
        pace.fetched(number / 100, records=True)
    pace.followed(0.5)
    assert pace.now == GATHER
    pace.fetched(0.6, records=False)
    assert pace.now == GATHER


def test_a_record_is_told_at_once_at_rest_also_to_who_gathers_all_the_time() -> None:
    lazy = ReadingPace(GATHER, rest_ms=3_000)
    lazy.fetched(1.0, records=False)
    assert lazy.now == AT_REST
    for at_s in (2.0, 2.1):
        assert lazy.now == AT_REST
        lazy.fetched(at_s, records=True)
    assert lazy.now == GATHER


@given(st.lists(st.floats(0, 100), max_size=50), st.floats(100, 110))
def test_it_gathers_if_and_only_if_much_came_lately(times_s: list[float], now_s: float) -> None:
    lately = [at_s for at_s in times_s if now_s - at_s < BUSY_S]
    assert (after(sorted(times_s), now_s) == GATHER) is (len(lately) >= BUSY_FETCHES)


@given(st.floats(0.001, 3600))
def test_many_fetches_are_answered_at_rest_within_the_limit_of_silence(limit_s: float) -> None:
    wait_ms = rest_wait_ms(limit_s)
    assert 1 <= wait_ms <= REST_WAIT_MAX_MS
    assert wait_ms == 1 or wait_ms * LOOKS_A_LIMIT <= limit_s * 1000
