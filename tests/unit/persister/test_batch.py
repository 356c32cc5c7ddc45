"""How much goes into one transaction."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from persister.batch import Limit, Partition, Pending, RefusedInARow, drop, take
from tests.written import LogRecord

ONE, TWO = Partition("t", 0), Partition("t", 1)


def waiting(position: int, *sizes: int) -> Pending[LogRecord]:
    records = [LogRecord(position + n, b"s", b"x" * size) for n, size in enumerate(sizes)]
    return Pending(position, deque(records))


def offsets(pending: dict[Partition, Pending[LogRecord]], records: int, size: int) -> list[int]:
    return [record.offset for stretch in take(pending, records, size) for record in stretch.records]


def test_nothing_pending_gives_no_batch() -> None:
    assert take({ONE: waiting(5)}, 10, 10) == []


def test_a_batch_is_the_oldest_records_within_the_bounds() -> None:
    pending = {ONE: waiting(5, 10, 10, 10)}
    assert offsets(pending, 2, 1000) == [5, 6]
    assert offsets(pending, 10, 20) == [5, 6]
    assert offsets(pending, 10, 19) == [5]


def test_a_single_record_may_exceed_the_bytes() -> None:
    assert offsets({ONE: waiting(5, 100, 1)}, 10, 20) == [5]


def test_a_batch_goes_over_partitions() -> None:
    stretches = take({ONE: waiting(5, 1), TWO: waiting(70, 1, 1)}, 2, 1000)
    assert [(stretch.partition, stretch.expected, stretch.next) for stretch in stretches] == [
        (ONE, 5, 6),
        (TWO, 70, 71),
    ]


def test_a_stored_batch_leaves_and_moves_the_position() -> None:
    pending = {ONE: waiting(5, 1, 1, 1)}
    drop(pending, take(pending, 2, 1000))
    assert pending[ONE].position == 7
    assert [record.offset for record in pending[ONE].records] == [7]
    assert pending[ONE].end == 8


def test_a_hole_in_the_offsets_is_passed() -> None:
    pending = {ONE: Pending(5, deque([LogRecord(9, b"", b"")]))}
    drop(pending, take(pending, 2, 1000))
    assert pending[ONE].position == pending[ONE].end == 10


def test_offsets_that_hold_no_record_are_passed_by_a_stretch_without_records() -> None:
    # A transaction's marker is the last offset of a shard: the position must reach the log's end.
    marked = waiting(5, 1)
    marked.reached = 7
    pending = {ONE: Pending(3, reached=4), TWO: marked}
    stretches = take(pending, 10, 1000)
    assert [(each.expected, each.next, len(each.records)) for each in stretches] == [
        (3, 4, 0),
        (5, 7, 1),
    ]
    drop(pending, stretches)
    assert [pending[each].position for each in (ONE, TWO)] == [4, 7]
    assert not any(each.waits for each in pending.values())


def test_a_stretch_cut_by_the_bounds_passes_nothing_behind_its_records() -> None:
    marked = waiting(5, 1, 1)
    marked.reached = 9
    [stretch] = take({ONE: marked}, 1, 1000)
    assert stretch.next == 6


@given(
    st.lists(st.lists(st.integers(0, 50), max_size=8), min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(1, 120),
)
def test_every_record_is_taken_once_in_order(
    sizes: list[list[int]], max_records: int, max_bytes: int
) -> None:
    pending = {Partition("t", n): waiting(0, *each) for n, each in enumerate(sizes)}
    taken: dict[Partition, list[int]] = {each: [] for each in pending}
    while stretches := take(pending, max_records, max_bytes):
        records = [record for stretch in stretches for record in stretch.records]
        assert len(records) <= max_records
        assert len(records) == 1 or sum(len(r.value or b"") for r in records) <= max_bytes
        for stretch in stretches:
            taken[stretch.partition] += [record.offset for record in stretch.records]
        drop(pending, stretches)
    assert taken == {Partition("t", n): list(range(len(each))) for n, each in enumerate(sizes)}


def test_one_record_after_another_is_not_refused_for_its_content() -> None:
    refused = RefusedInARow()
    assert [refused.another() for _ in range(3)] == [True, True, False]
    refused.stored(1, bad=1)  # only the letter of the one before
    assert not refused.another()
    refused.stored(2, bad=1)
    assert refused.another()


def test_refusals_halve_down_to_the_bad_record_and_successes_grow_back() -> None:
    limit = Limit(8)
    assert not limit.refused(8)
    assert limit.records == 4
    assert not limit.refused(2)
    assert limit.refused(1)
    sizes = []
    for _ in range(5):
        limit.stored()
        sizes.append(limit.records)
    assert sizes == [2, 4, 8, 8, 8]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=6),
    st.integers(1, 4),
    st.integers(1, 20),
)
def test_the_batch_behind_another_is_the_one_that_comes_when_that_is_removed(
    shards: list[tuple[int, int]], records: int, size: int
) -> None:
    pending = {
        Partition("t", shard): waiting(5, *[size_of_one] * count)
        for shard, (count, size_of_one) in enumerate(shards)
    }
    for each in pending.values():
        each.reached = each.end + len(each.records) % 2  # behind some there is a marker
    first = take(pending, records, size)
    behind = take(pending, records, size, first)
    drop(pending, first)
    assert behind == take(pending, records, size)
