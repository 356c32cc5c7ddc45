"""`python -m tests.bench.growth`: the page "growth", CPU and p99 at 10², 10³, … of what grows.

What grows must cost O(1) an event: the slope of the logarithms says whether it does. Each thing is
measured by itself; the figures are kept in .cache/bench by commit, and what else the machine did is
shown. `--most 1000` leaves out the larger sizes, `--only` all but some things.
"""

import argparse
import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from tests.bench import growth_stacks, intake_growth, long_sessions, old_cursors
from tests.bench.cost import Foreign
from tests.bench.growth_page import Growth, Row, keep, table
from tests.bench.measured import bench_folder
from tests.stack import running_stack

SIZES = (100, 1_000, 10_000, 100_000)
CURSORS_SHARDS, CURSORS_MEGABYTES = 20, 100


@dataclass(frozen=True, slots=True)
class Measure:
    """What grows, through which sizes, what its CPU is counted in, and how it is measured."""

    what: str
    sizes: tuple[int, ...]
    unit: str
    rows: Callable[[Sequence[int]], tuple[Row, ...]]


def waiting(phase: int, sizes: Sequence[int]) -> tuple[Row, ...]:
    """Messages that wait in a worker's intake, each in a session of its own; one of two phases."""
    rows = []
    for size in sizes:
        foreign = Foreign()
        cost = intake_growth.measured(size, size, folded_late=False)[phase]
        rows.append(Row(size, cost.event_us, cost.p99_ms, foreign.cores()))
    return tuple(rows)


def of_a_session(sizes: Sequence[int]) -> tuple[Row, ...]:
    """Messages of the session that somebody joins; the gateway's CPU of a join."""
    with bench_folder() as folder, running_stack(folder, servers_only=True) as servers:
        long_sessions.fill(servers.file.postgres, servers.epoch, sizes)
        foreign = Foreign()  # of all sizes: they are measured in turn
        joins = asyncio.run(long_sessions.measured(servers.file.postgres, servers.epoch, sizes))
        cores = foreign.cores()
    return tuple(
        Row(size, fmean(each.cpu_ms), _p99(each.ms), cores) for size, each in joins.items()
    )


def cursors(sizes: Sequence[int]) -> tuple[Row, ...]:
    """Clients with old cursors; p99 of those beside them that were away for seconds only."""
    rows: list[Row] = []

    def take(count: int, waits: old_cursors.Waits) -> None:
        comers = count + len(waits.honest)
        cpu_ms, p99_ms = 1000 * waits.cpu_s / comers, 1000 * _p99(waits.honest)
        rows.append(Row(count, cpu_ms, p99_ms, waits.foreign_cores))

    old_cursors.measure(sizes, CURSORS_SHARDS, CURSORS_MEGABYTES, take)
    return tuple(rows)


def _p99(values: Sequence[float]) -> float:
    return old_cursors.at(sorted(values), 0.99)


TOKENS = "s for 100,000 tokens"
MEASURES = {
    "waiting": Measure("waiting messages, taken in", SIZES, "µs a call", partial(waiting, 0)),
    "answered": Measure("waiting messages, answered", SIZES, "µs a call", partial(waiting, 1)),
    "messages": Measure("messages of a session", SIZES, "ms a join", of_a_session),
    "sessions": Measure("silent sessions", SIZES, TOKENS, growth_stacks.sessions),
    "cursors": Measure("old cursors", SIZES, "ms a client", cursors),
    "shards": Measure("shards", (8, 100, 400), TOKENS, growth_stacks.shards),
    "gateways": Measure("gateways", (1, 2, 4), TOKENS, growth_stacks.gateways),
}


def main() -> None:
    """Measure, print each as it is known, and keep all."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.growth", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--most", type=int, default=max(SIZES), help="no size above this")
    parser.add_argument("--json", type=Path, help="keep the figures here")
    asked = parser.parse_args()
    page = []
    for name in asked.only:
        measure = MEASURES[name]
        sizes = [size for size in measure.sizes if size <= asked.most]
        page.append(Growth(measure.what, measure.unit, measure.rows(sizes)))
        print(table(page[-1:]), flush=True)
        place = keep(page, asked.json)  # each time: the next one may fail
    print(f"\nkept in {place}")


if __name__ == "__main__":
    main()
