"""`python -m tests.bench`: load A against talklog and, in turn, against a direct server; one table.

The ratio to the direct server is the figure that travels: seconds depend on the machine. Whatever
else the machine does meets both, because they are measured in turn; it is shown as foreign cores.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cost import cpu_by_tier, cpu_of, of_the_machine, of_this_run, spent
from tests.bench.direct import direct_server
from tests.bench.load import load
from tests.scripted_model.control import ModelControl, scripted_model
from tests.stack import running_stack

TOKENS = 100_000
DIRECT, OURS, OTHER = "direct", "talklog", "against"
ALL = "CPU s all"
P99 = "added p99 ms"

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured: where its sockets are, and what its tiers have used so far."""

    name: str
    urls: list[str]
    used: Callable[[], dict[str, float]]


def main() -> None:
    """Warm up, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument(
        "--rate", type=float, default=50.0, help="tokens a second a session; 0: all"
    )
    parser.add_argument("--tokens", type=int, default=2000, help="an answer, with --rate 0")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of one repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warm-up-seconds", type=float, default=15.0)
    parser.add_argument("--idle-seconds", type=float, default=20.0, help="looked at rest so long")
    parser.add_argument(
        "--against", type=Path, help="a folder with another version, measured in turn with this one"
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="talklog-bench-"))
    folder.chmod(0o755)
    try:
        with _all_measured(folder, arguments.against) as measured:
            figures = _figures(measured, arguments)
            idle = _idle(measured, arguments.idle_seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _print(figures, idle)
    if arguments.json:
        arguments.json.write_text(json.dumps({"load": figures, "idle": idle}, indent=2))


@contextmanager
def _all_measured(folder: Path, against: Path | None) -> Iterator[list[Measured]]:
    with ExitStack() as stack:
        model = stack.enter_context(scripted_model())
        direct = stack.enter_context(direct_server(model.url))
        yield [
            Measured(DIRECT, [direct.url], lambda: {"server": cpu_of(direct.pid)}),
            _talklog(stack, OURS, folder, model, None),
            *([_talklog(stack, OTHER, folder, model, against)] if against else []),
        ]


def _talklog(
    stack: ExitStack, name: str, folder: Path, model: ModelControl, tree: Path | None
) -> Measured:
    # A broker of the tests does without Java's thorough compiler; one that is measured does not.
    running = stack.enter_context(
        running_stack(folder / name, tree=tree, OPENAI_BASE_URL=model.url, _JAVA_OPTIONS="")
    )
    urls = [gateway.url for gateway in running.file.gateways]
    return Measured(name, urls, lambda: cpu_by_tier(running.file))


def _figures(
    measured: list[Measured], arguments: argparse.Namespace
) -> dict[str, list[dict[str, float]]]:
    figures: dict[str, list[Figures]] = {each.name: [] for each in measured}
    # The first repeat warms up: a young JVM costs three times as much.
    for number in range(arguments.repeats + 1):
        for each in measured:
            figure = asyncio.run(_repeat(each, arguments, number))
            what = f"repeat {number}" if number else "warm-up"
            print(f"{what}: {each.name}, {figure[ALL]:.1f} CPU s", flush=True)
            if number:
                figures[each.name].append(figure)
    return figures


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


async def _repeat(measured: Measured, arguments: argparse.Namespace, number: int) -> Figures:
    seconds = arguments.seconds if number else arguments.warm_up_seconds
    tokens = int(seconds * arguments.rate) if arguments.rate else arguments.tokens
    before, began = measured.used(), time.monotonic()
    foreign_s = of_the_machine() - of_this_run()
    added, frames = await load(
        measured.urls, arguments.sessions, tokens, arguments.rate, f"bench{number}"
    )
    took_s, used = time.monotonic() - began, spent(before, measured.used())
    foreign_s = of_the_machine() - of_this_run() - foreign_s
    per = TOKENS / len(added)
    added.sort()
    return {
        "tokens/s": len(added) / took_s,
        "tokens a frame": len(added) / frames,
        "added p50 ms": added[len(added) // 2],
        P99: added[int(len(added) * 0.99)],
        **{f"CPU s {tier}": tier_s * per for tier, tier_s in used.items()},
        ALL: sum(used.values()) * per,
        "foreign cores": max(0.0, foreign_s / took_s),
    }


def _print(figures: dict[str, list[Figures]], idle: dict[str, Figures]) -> None:
    """Print the ratios first, then each system's median and spread."""
    medians = {
        name: {figure: _median(repeats, figure) for figure in repeats[0]}
        for name, repeats in figures.items()
    }
    ruler = medians[DIRECT]
    print()
    for name, median in medians.items():
        if name != DIRECT:
            cost, late = median[ALL] / ruler[ALL], median[P99] / ruler[P99]
            print(f"{name}: {cost:.2f} x the CPU of the direct server, {late:.2f} x its p99")
    for name, repeats in figures.items():
        print(
            f"\n{name:<18}{'median':>10}{'least':>10}{'most':>10}"
            f"   (CPU seconds for {TOKENS:,} tokens)"
        )
        for figure, median_value in medians[name].items():
            values = [each[figure] for each in repeats]
            print(f"{figure:<18}{median_value:>10.2f}{min(values):>10.2f}{max(values):>10.2f}")
        at_rest = ", ".join(f"{tier} {ms:.1f}" for tier, ms in idle[name].items())
        print(f"at rest, ms of CPU a second: {sum(idle[name].values()):.1f} ({at_rest})")


def _median(repeats: list[Figures], figure: str) -> float:
    return statistics.median(each[figure] for each in repeats)


if __name__ == "__main__":
    main()
