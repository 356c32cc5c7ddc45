"""The most tokens a second that people would bear: `python -m tests.bench.most`.

More and more answers of 50 tokens a second run at once, in talklog and in a direct server in turn,
until tokens come late: their p99 is over the limit. Then it is looked between that step and the one
before, `--closer` times. What was carried in the largest that was borne counts.
"""

import argparse
import asyncio

from tests.bench.load import load
from tests.bench.measured import Measured, all_measured
from tests.bench.results import DIRECT, OURS
from tests.bench.scenarios import Scenario

RATE = 50.0
GROWTH = 1.25
ROOM = 2000
"""So many answers may run in the worker: a bound of its own would be measured else."""


def main() -> None:
    """Warm up, look for the most of each, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.most", description=__doc__)
    parser.add_argument("--p99-ms", type=float, default=250.0, help="late is what takes longer")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a step")
    parser.add_argument("--warm-up-seconds", type=float, default=45.0)
    parser.add_argument("--first", type=int, default=20, help="answers at once in the first step")
    parser.add_argument("--closer", type=int, default=2, help="steps between the last two")
    asked = parser.parse_args()
    with all_measured(TALKLOG_MAX_RUNNING=str(ROOM)) as measured:
        for each in measured:
            asyncio.run(_step(each, 50, asked.warm_up_seconds, "warm-up"))
        most = {each.name: _most(each, asked) for each in measured}
    print(
        f"most tokens/s with a p99 under {asked.p99_ms:g} ms: talklog {most[OURS]:.0f}, direct "
        f"server {most[DIRECT]:.0f}: {most[OURS] / most[DIRECT]:.2f} x"
    )


def _most(measured: Measured, asked: argparse.Namespace) -> float:
    """Give the tokens a second of the largest step in which none came late; 0: there was none."""
    carried, borne, sessions, late = 0.0, 0, asked.first, 0
    closer = asked.closer
    while True:
        tokens_s, p99_ms = asyncio.run(_step(measured, sessions, asked.seconds, f"most-{sessions}"))
        print(
            f"{measured.name}: {sessions} answers, {tokens_s:.0f} tokens/s, p99 {p99_ms:.0f} ms",
            flush=True,
        )
        if p99_ms <= asked.p99_ms:
            carried, borne = tokens_s, sessions
        else:
            late = sessions
        if not late:
            sessions = int(sessions * GROWTH) + 1
        elif closer and late - borne > 1:
            closer, sessions = closer - 1, (borne + late) // 2
        else:
            return carried


async def _step(measured: Measured, sessions: int, seconds: float, tag: str) -> tuple[float, float]:
    scenario = Scenario(f"{sessions} answers", sessions, RATE)
    began_s = asyncio.get_running_loop().time()
    seen = await load(measured.urls, scenario, scenario.tokens_in(seconds), tag)
    took_s = asyncio.get_running_loop().time() - began_s
    return len(seen.added_ms) / took_s, sorted(seen.added_ms)[int(len(seen.added_ms) * 0.99)]


if __name__ == "__main__":
    main()
