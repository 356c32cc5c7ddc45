"""The most tokens a second that people would bear: `python -m tests.bench.most`.

More and more answers of 50 tokens a second run at once, in talklog and in a direct server in turn,
until tokens come late: their p99 is over the limit. What was carried in the step before counts.
"""

import argparse
import asyncio

from tests.bench.load import load
from tests.bench.measured import Measured, all_measured
from tests.bench.results import DIRECT, OURS
from tests.bench.scenarios import Scenario

RATE = 50.0
GROWTH = 1.25


def main() -> None:
    """Warm up, look for the most of each, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.most", description=__doc__)
    parser.add_argument("--p99-ms", type=float, default=250.0, help="late is what takes longer")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a step")
    parser.add_argument("--warm-up-seconds", type=float, default=45.0)
    parser.add_argument("--first", type=int, default=20, help="answers at once in the first step")
    asked = parser.parse_args()
    with all_measured() as measured:
        for each in measured:
            asyncio.run(_step(each, 50, asked.warm_up_seconds, "warm-up"))
        most = {each.name: _most(each, asked) for each in measured}
    print(
        f"most tokens/s with a p99 under {asked.p99_ms:g} ms: talklog {most[OURS]:.0f}, direct "
        f"server {most[DIRECT]:.0f}: {most[OURS] / most[DIRECT]:.2f} x"
    )


def _most(measured: Measured, asked: argparse.Namespace) -> float:
    """Give the tokens a second of the last step in which none came late; 0: there was none."""
    carried, sessions = 0.0, asked.first
    while True:
        tag = f"most-{sessions}"
        tokens_s, p99_ms = asyncio.run(_step(measured, sessions, asked.seconds, tag))
        print(
            f"{measured.name}: {sessions} answers, {tokens_s:.0f} tokens/s, p99 {p99_ms:.0f} ms",
            flush=True,
        )
        if p99_ms > asked.p99_ms:
            return carried
        carried, sessions = tokens_s, int(sessions * GROWTH) + 1


async def _step(measured: Measured, sessions: int, seconds: float, tag: str) -> tuple[float, float]:
    scenario = Scenario(f"{sessions} answers", sessions, RATE)
    began_s = asyncio.get_running_loop().time()
    seen = await load(measured.urls, scenario, scenario.tokens_in(seconds), tag)
    took_s = asyncio.get_running_loop().time() - began_s
    return len(seen.added_ms) / took_s, sorted(seen.added_ms)[int(len(seen.added_ms) * 0.99)]


if __name__ == "__main__":
    main()
