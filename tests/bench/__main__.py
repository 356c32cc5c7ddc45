"""`python -m tests.bench`: loads against talklog and, in turn, against a direct server; one table.

The ratio to the direct server is the figure that travels: seconds depend on the machine. Whatever
else the machine does meets both, because they are measured in turn; it is shown as foreign cores.
The figures are kept in .cache/bench by commit, for `--compare`.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.cost import of_the_machine, of_this_run, spent
from tests.bench.load import ASKED, Seen, load
from tests.bench.measured import Measured, all_measured
from tests.bench.picture import drawn
from tests.bench.results import (
    ALL,
    CPU,
    P50,
    P99,
    TOKENS,
    Figures,
    Results,
    keep,
    kept,
)
from tests.bench.scenarios import SCENARIOS


def main() -> None:
    """Warm up, measure, print."""
    arguments = _parser().parse_args()
    before = kept(arguments.compare) if arguments.compare else None
    results = Results({}, {})
    try:
        with all_measured(arguments.against) as measured:
            for name in arguments.scenarios:
                results.loads[name] = _figures(measured, name, arguments)
            results.idle.update(_idle(measured, arguments.idle_seconds))
    finally:
        # What was measured before something failed is shown, too.
        print(results.table())
    print(f"\nkept in {keep(results, arguments.json)}")
    if before is not None:
        print(f"\nnow / {arguments.compare}\n{results.beside(before)}")
    if arguments.picture:
        arguments.picture.write_text(drawn(results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    told = "; ".join(f"{name}: {each.what}" for name, each in SCENARIOS.items())
    parser.add_argument(
        "--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), help=told
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of one repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warm-up-seconds", type=float, default=45.0)
    parser.add_argument("--idle-seconds", type=float, default=20.0, help="looked at rest so long")
    parser.add_argument(
        "--against", type=Path, help="a folder with another version, measured in turn with this one"
    )
    parser.add_argument("--compare", help="a commit of .cache/bench, or a file of figures")
    parser.add_argument("--json", type=Path, help="keep the figures here")
    parser.add_argument("--picture", type=Path, help="draw them here, as SVG")
    return parser


def _figures(
    measured: list[Measured], name: str, arguments: argparse.Namespace
) -> dict[str, list[Figures]]:
    figures: dict[str, list[Figures]] = {each.name: [] for each in measured}
    # The first repeat warms up: a young JVM costs three times as much.
    for number in range(arguments.repeats + 1):
        for each in measured:
            if number:
                figure = asyncio.run(_repeat(each, name, arguments.seconds, f"{number}"))
                figures[each.name].append(figure)
            else:
                figure = asyncio.run(_warm_up(each, name, arguments.warm_up_seconds))
            what = f"{name}, {f'repeat {number}' if number else 'warm-up'}: {each.name}"
            print(f"{what}, {figure[ALL]:.1f} s of CPU for {TOKENS:,} tokens", flush=True)
    return figures


async def _warm_up(measured: Measured, name: str, seconds: float) -> Figures:
    """Load for so long; what has ended before is begun again. Gives the last figures."""
    until_s, number = time.monotonic() + seconds, 0
    while True:
        figure = await _repeat(measured, name, seconds, f"warm-up-{number}")
        if time.monotonic() >= until_s:
            return figure
        number += 1


def _idle(measured: list[Measured], seconds: float) -> dict[str, Figures]:
    """Say how many ms of CPU a second each tier uses while nothing happens."""
    before = {each.name: each.used() for each in measured}
    time.sleep(seconds)
    return {
        each.name: {
            tier: 1000 * used_s / seconds
            for tier, used_s in spent(before[each.name], each.used()).items()
        }
        for each in measured
    }


async def _repeat(measured: Measured, name: str, seconds: float, tag: str) -> Figures:
    scenario = SCENARIOS[name]
    tokens = scenario.tokens_in(seconds)
    before, began = measured.used(), time.monotonic()
    foreign_s = of_the_machine() - of_this_run()
    seen = await load(measured.urls, scenario, tokens, f"bench-{name}-{tag}")
    took_s, used = time.monotonic() - began, spent(before, measured.used())
    foreign_s = of_the_machine() - of_this_run() - foreign_s
    per = TOKENS / len(seen.added_ms)
    added = sorted(seen.added_ms)
    return {
        "tokens/s": len(added) / took_s,
        "tokens a frame": len(added) / seen.frames,
        **dict(_hops(seen)),
        P50: added[len(added) // 2],
        P99: added[int(len(added) * 0.99)],
        **{f"{CPU}{tier}": tier_s * per for tier, tier_s in used.items()},
        ALL: sum(used.values()) * per,
        "CPU ms an answer": 1000 * sum(used.values()) / len(seen.hops_ms[ASKED]),
        "foreign cores": max(0.0, foreign_s / took_s),
    }


def _hops(seen: Seen) -> Iterator[tuple[str, float]]:
    for hop, times_ms in seen.hops_ms.items():
        times_ms.sort()
        yield f"{hop} p50 ms", times_ms[len(times_ms) // 2]
        yield f"{hop} p99 ms", times_ms[int(len(times_ms) * 0.99)]


if __name__ == "__main__":
    main()
