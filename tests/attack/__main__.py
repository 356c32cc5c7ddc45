"""`make attack`: people chat, attackers do all they can, and it is counted what people noticed.

    python -m tests.attack --minutes 30 --seed 7

Exits with 1 unless no answer was lost, doubled or mixed, `verify` is clean, no process was started
again and nothing was raised that nobody took. What people felt is printed, and asserted of nothing.
"""

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.attack import report
from tests.attack.stand import Shape, Stand
from tests.bench.results import ROOT, commit

KEPT = ROOT / ".cache" / "attack"
QUIET_MAX_S = 120.0
QUIET_PART = 0.2


def main() -> int:
    """Run it, print, keep."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.attack",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="(default: 30)")
    parser.add_argument("--seed", type=int, default=None, help="(default: a new one)")
    parser.add_argument("--honest", type=int, default=100, help="people who talk (default: 100)")
    parser.add_argument("--hostile", type=int, default=100, help="who attack (default: 100)")
    parser.add_argument("--json", type=Path, help="keep the figures here")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else secrets.randbelow(1_000_000)
    shape = Shape(honest=given.honest, foes=given.hostile, seed=seed, aside=True)
    print(f"{given.minutes:g} minutes, seed {seed}, {given.honest} people, {given.hostile} hostile")
    with tempfile.TemporaryDirectory(prefix="talklog-attack-") as folder:
        stand = Stand(shape, Path(folder))
        return asyncio.run(_run(stand, given.minutes * 60, given.json))


async def _run(stand: Stand, seconds: float, path: Path | None) -> int:
    began = time.monotonic()

    def say(line: str) -> None:
        at = time.monotonic() - began
        print(f"{at // 60:3.0f}:{at % 60:02.0f}  {line}", flush=True)

    quiet_s = min(QUIET_MAX_S, seconds * QUIET_PART)
    async with stand.open():
        await stand.warm()
        say("everybody has had an answer; a quiet part")
        stand.note("begin")
        stand.begin("quiet")
        await asyncio.sleep(quiet_s)
        say("the attackers come")
        stand.note("attacked")
        stand.begin("attack")
        async with stand.attacked():
            await asyncio.sleep((seconds - quiet_s) / 2)
            stand.note("middle")
            say("half of it")
            await asyncio.sleep((seconds - quiet_s) / 2)
            stand.note("end")
        stand.begin("after")
        say("the attackers have gone; waiting for every end, and for the rows")
        seen = await stand.settle()
        stand.note("after")
    print(report.told(stand, seen))
    path = path or KEPT / f"{commit()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.figures(stand, seen), indent=2))
    print(f"kept in {path}")
    return 0 if report.well(stand, seen) else 1


if __name__ == "__main__":
    sys.exit(main())
