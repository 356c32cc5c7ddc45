"""When a reader is called silently stopped, and all the times when it must not be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.process.standstill import Seen, StandstillWatch

LIMIT_S = 10.0
GAP_S = 3.0

Sample = tuple[float, dict[int, Seen] | None]


def standing(*samples: Sample, limit_s: float = LIMIT_S) -> set[int]:
    watch = StandstillWatch[int](GAP_S)
    for now_s, seen in samples:
        watch.look(now_s, seen)
    return {each.shard for each in watch.standing(limit_s)}


def every_second(*seen: dict[int, Seen] | None) -> list[Sample]:
    return [(float(second), each) for second, each in enumerate(seen)]


def at(position: int | None, end: int, answered: int | None = None) -> dict[int, Seen]:
    return {0: Seen(position, end, answered)}


@pytest.mark.parametrize(
    ("story", "samples"),
    [
        ("the log goes on and it does not", [at(5, 6 + n) for n in range(11)]),
        ("one record waits for ever", [at(5, 6)] * 11),
        ("it has never taken anything", [at(None, 6 + n) for n in range(12)]),
        ("it was well, then stopped", [*[at(n, n) for n in range(9)], *[at(8, 9)] * 12]),
        ("it moved at first", [at(3, 9), at(4, 9), *[at(5, 9)] * 11]),
        ("nothing is written, and no fetch is answered", [at(5, 5, 77)] * 11),
        ("it can't be heard though it is not behind", [at(n, n, 77) for n in range(11)]),
    ],
)
def test_it_stands_still(story: str, samples: list[dict[int, Seen] | None]) -> None:
    assert standing(*every_second(*samples)) == {0}, story


@pytest.mark.parametrize(
    ("story", "samples"),
    [
        ("quiet", [at(5, 5)] * 30),
        ("quiet, and it knows nothing", [at(None, 5)] * 30),
        ("slow, with a growing lag", [at(n // 5, 100 * n) for n in range(30)]),
        ("it is sought backwards", [*[at(9, 10)] * 9, *[at(1, 10)] * 9]),
        ("not long enough", [at(5, 6)] * 10),
        ("it came to the end in between", [*[at(5, 6)] * 9, at(6, 6), *[at(6, 7)] * 9]),
        ("the log was made anew", [at(50, n) for n in range(30)]),
        ("the broker is away", [*[at(5, 6)] * 9, *[None] * 20, *[at(5, 6)] * 9]),
        ("the broker is away now", [*[at(5, 6)] * 20, None]),
        ("given away and back", [*[at(5, 6)] * 9, {}, *[at(5, 6)] * 9]),
        ("reading was stopped on purpose", [*[at(5, 6)] * 9, *[{}] * 20]),
        ("quiet, and heard now and then", [at(5, 5, n // 9) for n in range(30)]),
    ],
)
def test_it_does_not(story: str, samples: list[dict[int, Seen] | None]) -> None:
    assert standing(*every_second(*samples)) == set(), story


def test_a_process_that_was_stopped_is_given_the_whole_time_again() -> None:
    before = [(float(second), at(5, 6)) for second in range(9)]
    after = [(60.0 + second, at(5, 60)) for second in range(10)]
    assert standing(*before, *after) == set()
    assert standing(*before, *after, (70.0, at(5, 60))) == {0}


def test_each_shard_is_judged_by_itself() -> None:
    seen = [{0: Seen(5, 6 + n), 1: Seen(n, n + 1), 2: Seen(7, 7)} for n in range(11)]
    assert standing(*every_second(*seen)) == {0}


def test_it_says_what_it_has_seen_and_for_how_long() -> None:
    watch = StandstillWatch[int](GAP_S)
    for second in range(5):
        watch.look(float(second), at(5, 9))
    [found] = watch.standing(4.0)
    assert (found.shard, found.for_s, found.what) == (0, 4.0, "stands at 5, the log at 9")
    assert watch.longest_s == 4.0
    watch.look(5.0, at(9, 9))
    assert watch.longest_s == 0.0


def samples() -> st.SearchStrategy[list[Sample]]:
    small = st.integers(0, 2)
    seen = st.builds(Seen, st.one_of(st.none(), small), small, st.one_of(st.none(), small))
    shards = st.one_of(st.none(), st.dictionaries(st.integers(0, 1), seen, max_size=2))
    steps = st.lists(st.tuples(st.sampled_from([0.5, 1.0, 3.0, 3.5]), shards), max_size=40)

    def timed(given: list[tuple[float, dict[int, Seen] | None]]) -> list[Sample]:
        now_s, out = 0.0, []
        for step_s, each in given:
            now_s += step_s
            out.append((now_s, each))
        return out

    return steps.map(timed)


def watched(given: list[Sample], shard: int) -> list[tuple[float, Seen]]:
    """The newest samples of the shard in one piece: known, and none far from the one before."""
    piece: list[tuple[float, Seen]] = []
    later_s = None
    for now_s, seen in reversed(given):
        if seen is None or shard not in seen or (later_s is not None and later_s - now_s > GAP_S):
            break
        piece.insert(0, (now_s, seen[shard]))
        later_s = now_s
    return piece


@given(samples())
def test_it_stands_still_exactly_if_nothing_of_it_moved_all_the_time(given: list[Sample]) -> None:
    expected = set()
    for shard in (0, 1):
        piece = watched(given, shard)
        if not piece:
            continue
        last_s, last = piece[-1]
        same = list(piece)
        while any(seen.position != last.position for _, seen in same):
            same = same[1:]
        since = same[0][1].end if last.position is None else last.position
        while same and any(seen.end <= since for _, seen in same):
            del same[0]
        # The moment at which nothing waited is where the wait is counted from.
        behind = bool(same) and last_s - _from(piece, same) >= LIMIT_S / 4
        unheard = list(piece)
        while any(seen.answered != last.answered for _, seen in unheard):
            unheard = unheard[1:]
        deaf = last.answered is not None and last_s - unheard[0][0] >= LIMIT_S / 4
        if behind or deaf:
            expected.add(shard)
    assert standing(*given, limit_s=LIMIT_S / 4) == expected


def _from(piece: list[tuple[float, Seen]], same: list[tuple[float, Seen]]) -> float:
    """When the wait began: at the sample before, if that already stood there."""
    start = len(piece) - len(same)
    if start and piece[start - 1][1].position == same[0][1].position:
        return piece[start - 1][0]
    return same[0][0]
