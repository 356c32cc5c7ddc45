"""When a loop is called blocked, what is told of it, and when the machine is to blame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.process.blocked_loop import Block, BlockWatch

LOG_S, LIMIT_S, NAP_S, NAP_MAX_S = 1.0, 5.0, 0.25, 0.5

Look = tuple[float, int]


def told(*looks: Look) -> list[tuple[str, float]]:
    watch = BlockWatch(log_s=LOG_S, limit_s=LIMIT_S, nap_max_s=NAP_MAX_S)
    blocks = [watch.look(now_s, beats) for now_s, beats in looks]
    return [(block.phase, block.for_s) for block in blocks if isinstance(block, Block)]


def every_nap(*beats: int) -> list[Look]:
    return [(100.0 + NAP_S * number, beat) for number, beat in enumerate(beats)]


@pytest.mark.parametrize(
    ("story", "looks"),
    [
        ("it beats", every_nap(*range(60))),
        ("it beats at every other look", every_nap(*(n // 2 for n in range(60)))),
        ("blocked again and again, never long enough", every_nap(*(n // 4 for n in range(60)))),
        ("stopped for an hour", [(0.0, 1), (NAP_S, 2), (3600.0, 2), (3600.25, 3)]),
        ("stopped again and again", [(10.0 * n, n // 2) for n in range(60)]),
    ],
)
def test_nothing_is_told(story: str, looks: list[Look]) -> None:
    assert told(*looks) == [], story


def test_a_block_is_told_once_and_its_end_once() -> None:
    looks = every_nap(1, *[2] * 13, 3, 4, 5)
    assert told(*looks) == [("begun", LOG_S), ("ended", 3.0)]


def test_each_block_is_told() -> None:
    looks = every_nap(*[1] * 6, *[2] * 6, 3)
    assert told(*looks) == [("begun", LOG_S), ("ended", 1.25)] * 2


def test_a_loop_that_never_beats_is_blocked_from_the_first_look() -> None:
    assert told(*every_nap(0, 0, 0, 0, 0)) == [("begun", LOG_S)]


def test_a_block_over_the_limit_is_told_as_such() -> None:
    assert told(*every_nap(*[1] * 21)) == [("begun", LOG_S), ("over", LIMIT_S)]


def test_a_block_goes_on_through_a_stop_which_does_not_count() -> None:
    looks = [(0.0, 1), (0.25, 1), (0.5, 1), (60.0, 1), (60.25, 1)]
    assert told(*looks) == [("begun", 0.5 + NAP_MAX_S)]


def test_a_limit_below_what_is_logged_ends_it_without_a_line_before() -> None:
    watch = BlockWatch(log_s=10.0, limit_s=0.5, nap_max_s=NAP_MAX_S)
    last = [watch.look(now_s, beats) for now_s, beats in every_nap(1, 1, 1)][-1]
    assert last == Block("over", 0.5)


@given(st.lists(st.tuples(st.floats(0, 3600), st.integers(0, 1)), max_size=60))
def test_whatever_happens_a_block_that_has_ended_had_begun(naps: list[tuple[float, int]]) -> None:
    """And it is called over only after so many looks without a beat as the limit takes."""
    now_s, beats, looks, without = 0.0, 0, [], 0
    for nap_s, beaten in naps:
        now_s, beats = now_s + nap_s, beats + beaten
        looks.append((now_s, beats))
    phases = [phase for phase, _ in told(*looks)]
    if "over" in phases:
        phases = phases[: phases.index("over")]
        without = max(_looks_without_a_beat([beats for _, beats in looks]))
        assert without * NAP_MAX_S >= LIMIT_S
    assert phases == (["begun", "ended"] * len(phases))[: len(phases)]


def _looks_without_a_beat(beats: list[int]) -> list[int]:
    found, run = [0], 0
    for before, beat in zip([0, *beats], beats, strict=False):
        run = run + 1 if beat == before else 0
        found.append(run)
    return found
