"""A range from any position to the newest record, wherever tail and scan meet."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.feed.reach import range_of
from schemas.shard_log import Record, ShardLog


def log_of(start: int, end: int) -> ShardLog:
    log = ShardLog(start)
    log.append([Record(offset, 0, f"s{offset % 2}", b"x") for offset in range(start, end)])
    return log


def test_a_scan_that_came_further_than_the_tail_ends_the_range() -> None:
    # The tail has not read 20 to 24 yet; they are in the range, and must not be given again.
    found = range_of(10, log_of(10, 25), log_of(15, 20), "s0")
    assert found.end == 25
    assert [record.offset for record in found.records] == [10, 12, 14, 16, 18, 20, 22, 24]


def test_a_position_ahead_of_the_tail_is_an_empty_range_there() -> None:
    found = range_of(30, log_of(30, 30), log_of(15, 20), "s0")
    assert (found.end, found.records) == (30, [])


@given(st.data())
def test_every_record_from_the_position_to_the_end_is_in_it_once(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, 20))
    tail_start = data.draw(st.integers(0, 40))
    tail_end = data.draw(st.integers(tail_start, 60))
    older = log_of(position, position)
    if position < tail_start:
        older_start = data.draw(st.integers(0, position))
        older = log_of(older_start, data.draw(st.integers(tail_start, 70)))
    found = range_of(position, older, log_of(tail_start, tail_end), "s0")
    expected = [offset for offset in range(position, found.end) if offset % 2 == 0]
    assert [record.offset for record in found.records] == expected
    assert found.end >= max(position, tail_end)
