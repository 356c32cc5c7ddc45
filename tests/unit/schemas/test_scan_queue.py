"""Which range is read next: short ones never wait for long ones, and nothing is read in vain."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.scan_queue import SHORT_MAX_BYTES, Lane, ScanQueue, TooLarge, unanswered

MAX_BYTES = 8 * SHORT_MAX_BYTES
KIB = 1024


@dataclass(eq=False)
class Wanted:
    start: int
    end: int
    over: bool = False


def queue(bytes_an_offset: float | None = None) -> ScanQueue[Wanted]:
    return ScanQueue(MAX_BYTES, lambda _: bytes_an_offset)


def taken(waiting: ScanQueue[Wanted], lane: Lane) -> tuple[int, list[Wanted]] | None:
    found = waiting.take(lane)
    return None if found is None else (found[0], list(found[1]))


def test_an_estimate_of_twice_the_bound_is_refused_unread() -> None:
    waiting = queue(KIB)
    offsets = MAX_BYTES // KIB
    with pytest.raises(TooLarge, match="about"):
        waiting.add(0, Wanted(0, 2 * offsets + 1))
    assert waiting.add(0, Wanted(0, 2 * offsets)) == "long"  # an estimate may be wrong
    assert waiting.add(0, Wanted(0, SHORT_MAX_BYTES // KIB)) == "short"


def test_what_will_be_read_is_bounded_and_nothing_of_what_is_refused() -> None:
    waiting = queue(KIB)
    assert waiting.will_read(0, 5, 15) == 10 * KIB
    assert waiting.will_read(0, 0, 2 * MAX_BYTES // KIB) == MAX_BYTES
    assert waiting.will_read(0, 0, 2 * MAX_BYTES // KIB + 1) == 0.0
    assert queue().will_read(0, 0, 10**9) == MAX_BYTES, "a guess refuses nothing"
    assert waiting.take("short") is None, "nobody waits for it"


def test_where_nothing_is_known_a_range_is_read_as_a_short_one_then_as_a_long_one() -> None:
    waiting = queue()
    wanted = Wanted(0, 10**9)
    assert waiting.add(0, wanted) == "short"
    assert taken(waiting, "short") == (0, [wanted])
    waiting.outgrown(0, "short", wanted, 5_000, 10_000)
    waiting.done("short", 0)
    assert taken(waiting, "short") is None
    assert taken(waiting, "long") == (0, [wanted])


def test_what_was_measured_decides_from_then_on() -> None:
    waiting = queue()
    waiting.measured(3, 99, 99 * MAX_BYTES)  # too few to say something of others
    assert waiting.add(3, Wanted(0, 1000)) == "short"
    waiting.measured(3, 1000, 1000 * SHORT_MAX_BYTES // 500)
    assert waiting.add(3, Wanted(0, 1000)) == "long"
    assert waiting.add(4, Wanted(0, 1000)) == "short"


def test_what_was_too_large_once_stays_too_large_until_the_position_moves() -> None:
    waiting = queue()
    wanted = Wanted(100, 10_000)
    with pytest.raises(TooLarge):
        waiting.outgrown(7, "long", wanted, 4_000, 10_000)
    for start in (0, 100, 3_999):
        with pytest.raises(TooLarge, match="seen before"):
            waiting.add(7, Wanted(start, 11_000))  # the log has grown since
    waiting.add(7, Wanted(4_000, 11_000))
    waiting.add(7, Wanted(100, 9_999))  # less than what was too much
    waiting.add(8, Wanted(100, 11_000))


def test_the_shard_with_the_least_to_read_is_next_and_of_long_ones_who_waited_longest() -> None:
    waiting = queue(KIB)
    short, shorter = Wanted(0, 2_000), Wanted(500, 1_000)
    for shard, wanted in ((0, short), (1, shorter)):
        waiting.add(shard, wanted)
    assert taken(waiting, "short") == (1, [shorter])
    assert taken(waiting, "short") == (0, [short])
    long = 2 * SHORT_MAX_BYTES // KIB
    first, second = Wanted(0, 2 * long), Wanted(0, long)
    for shard, wanted in ((0, first), (1, second)):
        waiting.add(shard, wanted)
    assert taken(waiting, "long") == (0, [first])


def test_a_shard_is_read_by_one_of_a_lane_for_all_who_wait_there() -> None:
    waiting = queue(KIB)
    one, other, late = Wanted(20, 100), Wanted(10, 90), Wanted(30, 80)
    waiting.add(0, one)
    waiting.add(0, other)
    assert taken(waiting, "short") == (0, [other, one])
    waiting.add(0, late)
    assert taken(waiting, "short") is None
    outside = Wanted(5, 80)
    waiting.add(0, outside)
    assert waiting.take_covered(0, 10, 100) == [late]
    waiting.done("short", 0)
    assert taken(waiting, "short") == (0, [outside])


def test_nothing_is_read_for_those_who_have_left() -> None:
    waiting = queue(KIB)
    one, other = Wanted(0, 10), Wanted(0, 20)
    waiting.add(0, one)
    waiting.add(1, other)
    one.over = True
    assert unanswered([one, other]) == [other]
    assert taken(waiting, "short") == (1, [other])
    assert taken(waiting, "short") is None


def test_a_thousand_old_cursors_stand_in_no_honest_ones_way() -> None:
    # Seen: with 200 cursors of last night 188 clients got nothing for 30 s, and neither did one
    # that had been away for seconds.
    waiting = queue(KIB)
    end = 1_000_000
    refused = 0
    for number in range(1_000):
        try:
            waiting.add(number % 100, Wanted(number * 900, end))
        except TooLarge:
            refused += 1
    assert refused > 900
    for shard in range(100):
        waiting.add(shard, Wanted(end - 200, end))
    for _ in range(100):
        found = taken(waiting, "short")
        assert found is not None
        assert [wanted.start for wanted in found[1]] == [end - 200]


@given(
    ranges=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(1, 50), st.booleans()),
        max_size=40,
    ),
    bytes_an_offset=st.one_of(st.none(), st.floats(1, MAX_BYTES)),
)
def test_everybody_is_read_for_once_or_refused(
    ranges: list[tuple[int, int, int, bool]], bytes_an_offset: float | None
) -> None:
    waiting = queue(bytes_an_offset)
    wanted: list[tuple[int, Wanted]] = []
    for shard, start, length, left in ranges:
        one = Wanted(start, start + length)
        try:
            waiting.add(shard, one)
        except TooLarge:
            continue
        one.over = left
        wanted.append((shard, one))
    got: list[tuple[int, Wanted]] = []
    lanes: tuple[Lane, Lane] = ("short", "long")
    for lane in lanes:
        while found := taken(waiting, lane):
            shard, here = found
            assert [one.start for one in here] == sorted(one.start for one in here)
            got += [(shard, one) for one in here]
            waiting.done(lane, shard)
    served = [(shard, id(one)) for shard, one in got if not one.over]
    assert sorted(served) == sorted((shard, id(one)) for shard, one in wanted if not one.over)
