"""What is kept of a fuzzer's entries, and what is read of its figures."""

from pathlib import Path

from tests.fuzz.figures import Figures, figures_of
from tests.fuzz.keep import Way, choose, ways
from tests.fuzz.targets import KEPT_MAX, checker


def way(line: int) -> Way:
    return ("file", line, line + 1)


def test_only_what_reaches_something_new_is_chosen() -> None:
    reached = {"hand": {way(1)}, "same": {way(1)}, "new": {way(2)}, "both": {way(1), way(2)}}
    chosen = choose([Path("hand")], map(Path, ("same", "new", "both")), lambda p: reached[p.name])
    assert [path.name for path in chosen] == ["hand", "new"]


def test_what_was_put_there_by_hand_stays_though_it_reaches_nothing_new() -> None:
    chosen = choose([Path("a"), Path("b")], [], lambda _: {way(1)})
    assert len(chosen) == 2


def test_no_more_than_the_bound_is_chosen() -> None:
    many = [Path(str(each)) for each in range(2 * KEPT_MAX)]
    assert len(choose([], many, lambda path: {way(int(path.name))})) == KEPT_MAX


def test_other_bytes_take_other_ways() -> None:
    check = checker("client_frame")
    ping, rubbish = b'{"type":"ping"}', b"rubbish"
    assert ways(check, ping) - ways(check, rubbish)
    assert ways(check, rubbish) == ways(check, rubbish)


def test_the_figures_of_a_run() -> None:
    told = (
        "#2\tINITED cov: 10 ft: 11 corp: 2/30b exec/s: 0 rss: 40Mb\n"
        "#9\tNEW    cov: 12 ft: 15 corp: 3/32b lim: 4 exec/s: 0 rss: 40Mb L: 2/2\n"
        "stat::number_of_executed_units: 4321\n"
        "stat::average_exec_per_sec:     99\n"
    )
    assert figures_of(told) == Figures(4321, 99, 12, 15, 3)
    assert figures_of("it did not even begin") == Figures(0, 0, 0, 0, 0)
