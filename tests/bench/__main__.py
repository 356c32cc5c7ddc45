"""`python -m tests.bench`: load A on a stack of its own; one table and, if asked, JSON."""

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from tests.bench.cost import cpu_by_tier
from tests.bench.load import load
from tests.scripted_model.control import scripted_model
from tests.stack import RunningStack, running_stack

TOKENS = 100_000


def main() -> None:
    """Warm up, measure, print."""
    parser = argparse.ArgumentParser(description="What 100,000 tokens cost, by tier.")
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument(
        "--rate", type=float, default=50.0, help="tokens a second a session; 0: all"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of one repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warm-up-seconds", type=float, default=15.0)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="talklog-bench-"))
    folder.chmod(0o755)
    try:
        with (
            scripted_model() as model,
            running_stack(folder / "state", OPENAI_BASE_URL=model.url) as stack,
        ):
            figures = [
                asyncio.run(_repeat(stack, arguments, n)) for n in range(arguments.repeats + 1)
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    measured = figures[1:]  # the first warms up: a young JVM costs three times as much
    _print(measured)
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=2))


async def _repeat(
    stack: RunningStack, arguments: argparse.Namespace, number: int
) -> dict[str, float]:
    seconds = arguments.seconds if number else arguments.warm_up_seconds
    tokens = int(seconds * arguments.rate) if arguments.rate else 2000
    before, began = cpu_by_tier(stack.file), time.monotonic()
    added, frames = await load(
        [gateway.url for gateway in stack.file.gateways],
        arguments.sessions,
        tokens,
        arguments.rate,
        f"bench{number}",
    )
    took_s, after = time.monotonic() - began, cpu_by_tier(stack.file)
    per = TOKENS / len(added)
    added.sort()
    print(f"{'warm-up' if not number else f'repeat {number}'}: {took_s:.1f} s", flush=True)
    return {
        "tokens": len(added),
        "tokens/s": len(added) / took_s,
        "tokens a frame": len(added) / frames,
        "added p50 ms": added[len(added) // 2],
        "added p99 ms": added[int(len(added) * 0.99)],
        **{f"CPU s {tier}": (after[tier] - before[tier]) * per for tier in before},
        "CPU s all": sum(after[tier] - before[tier] for tier in before) * per,
    }


def _print(figures: list[dict[str, float]]) -> None:
    print(
        f"\n{'':<18}{'median':>10}{'least':>10}{'most':>10}   (CPU seconds for {TOKENS:,} tokens)"
    )
    for name in figures[0]:
        values = [figure[name] for figure in figures]
        print(
            f"{name:<18}{statistics.median(values):>10.2f}{min(values):>10.2f}{max(values):>10.2f}"
        )


if __name__ == "__main__":
    main()
