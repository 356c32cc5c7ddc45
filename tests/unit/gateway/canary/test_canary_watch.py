"""When the canary is called silent: a table of what was sent, what came, and what is said then."""

from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from gateway.canary.canary_watch import CanaryWatch

LIMIT_S = 15.0
EVERY_S = 5.0


def beaten(*beats: tuple[str, float]) -> CanaryWatch:
    """A watch of beats that were each due and sent at their moment."""
    watch = CanaryWatch(LIMIT_S)
    for beat, at_s in beats:
        watch.due(at_s)
        watch.sent(beat, at_s)
    return watch


def test_before_the_first_beat_nothing_is_wrong() -> None:
    assert CanaryWatch(LIMIT_S).not_ready(1e9) is None


def test_a_first_beat_on_its_way_is_not_red_until_the_limit() -> None:
    watch = beaten(("a", 100.0))
    assert watch.not_ready(115.0) is None
    assert watch.not_ready(117.0) == "the canary has not come back for 17 s"


def test_what_comes_back_ends_the_silence_and_tells_how_long_it_took() -> None:
    watch = beaten(("a", 100.0))
    watch.came("a", 100.25)
    assert watch.round_trip_s == 0.25
    assert watch.not_ready(1e9) is None


def test_a_beat_that_can_not_even_be_sent_is_missed_too() -> None:
    watch = CanaryWatch(LIMIT_S)
    for number in range(5):
        watch.due(100.0 + number * EVERY_S)
    assert watch.not_ready(120.0) == "the canary has not come back for 20 s"


def test_what_was_excused_is_not_missed_later() -> None:
    watch = beaten(("a", 100.0), ("b", 105.0))
    watch.excuse()
    assert watch.not_ready(200.0) is None
    watch.due(200.0)
    watch.came("a", 201.0)  # sent while nobody could be told: it says nothing
    assert watch.not_ready(214.0) is None
    assert watch.not_ready(216.0) == "the canary has not come back for 16 s"


def test_the_silence_begins_with_the_first_that_is_missed() -> None:
    watch = beaten(("a", 100.0))
    watch.came("a", 101.0)
    for number in range(4):
        watch.due(105.0 + number * EVERY_S)
        watch.sent(f"b{number}", 105.0 + number * EVERY_S)
    assert watch.not_ready(120.0) is None
    assert watch.not_ready(120.5) == "the canary has not come back for 16 s"  # 15.5 s


def test_a_process_that_was_stopped_between_two_beats_has_missed_nothing() -> None:
    watch = beaten(("a", 100.0))
    watch.came("a", 101.0)
    assert watch.not_ready(10_000.0) is None
    watch.due(10_000.0)
    assert watch.not_ready(10_000.0) is None


def test_one_lost_beat_is_forgiven_by_the_next() -> None:
    watch = beaten(("lost", 100.0), ("b", 105.0))
    watch.came("b", 105.1)
    assert watch.not_ready(1e9) is None
    watch.came("lost", 106.0)
    assert watch.round_trip_s == 105.1 - 105.0


def test_a_return_while_later_ones_are_on_their_way_begins_a_new_silence() -> None:
    watch = beaten(("a", 100.0), ("b", 105.0), ("c", 110.0))
    watch.came("a", 112.0)
    assert watch.not_ready(127.0) is None
    assert watch.not_ready(127.5) is not None


def test_one_that_comes_after_the_limit_does_not_count() -> None:
    watch = beaten(("a", 100.0))
    watch.due(116.0)
    watch.sent("b", 116.0)
    watch.came("a", 117.0)
    assert watch.not_ready(117.0) == "the canary has not come back for 17 s"


def test_a_beat_of_nobody_changes_nothing() -> None:
    watch = beaten(("a", 100.0))
    watch.came("other", 101.0)
    assert watch.not_ready(116.0) is not None
    assert watch.round_trip_s == 0.0


@given(st.lists(st.sampled_from(["come", "lost"]), max_size=60))
def test_it_is_red_exactly_while_the_last_beats_were_lost(fates: list[str]) -> None:
    watch = CanaryWatch(LIMIT_S)
    for number, fate in enumerate(fates):
        at_s = number * EVERY_S
        watch.due(at_s)
        watch.sent(str(number), at_s)
        if fate == "come":
            watch.came(str(number), at_s + 1.0)
        lost = sum(1 for _ in takewhile("lost".__eq__, reversed(fates[: number + 1])))
        # The first of `lost` beats was missed (lost - 1) beats ago; asked just before the next.
        assert (watch.not_ready(at_s + EVERY_S - 1.0) is not None) == (
            lost * EVERY_S - 1.0 > LIMIT_S
        )
        assert len(watch._sent) <= LIMIT_S / EVERY_S + 1
