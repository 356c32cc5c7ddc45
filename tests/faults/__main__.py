"""Every fault, many times, on a stack of its own under load; ends with the table.

    python -m tests.faults --times 3 --seed 7
    python -m tests.faults "worker, kill -9" --times 20

Exits with 1 unless nothing was lost, doubled or mixed, every fault bit and all recovered.
"""

import argparse
import asyncio
import logging
import random
import secrets
import sys
import tempfile
from pathlib import Path

from tests.faults.every import FAULTS
from tests.faults.field import Fault, Field, NoBite, Shape
from tests.faults.report import summary, table


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", help="only faults whose name holds one of these")
    parser.add_argument("--list", action="store_true", help="say which there are, and do nothing")
    parser.add_argument("--times", type=int, default=3, help="each so many times (default: 3)")
    parser.add_argument("--seed", type=int, default=None, help="(default: a new one)")
    parser.add_argument("--sessions", type=int, default=100, help="people who talk (default: 100)")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3, help="(default: 3)")
    parser.add_argument(
        "--outage", type=float, default=60.0, help="all of a kind are dead so long (default: 60 s)"
    )
    parser.add_argument("--state", type=Path, help="folder of the stack, kept (default: a new one)")
    given = parser.parse_args()
    chosen = [f for f in FAULTS if not given.words or any(w in f.name for w in given.words)]
    if not chosen:
        parser.error(f"no fault is called {' or '.join(given.words)!r}; --list says which are")
    if given.list:
        print("\n".join(fault.name for fault in chosen))
        return 0
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # dead brokers are meant
    seed = given.seed if given.seed is not None else secrets.randbelow(1_000_000)
    shape = Shape(sessions=given.sessions, brokers=given.brokers, outage_s=given.outage, seed=seed)
    print(f"seed {seed}, {shape.sessions} people, {shape.brokers} brokers", flush=True)
    plan = chosen * given.times
    random.Random(seed).shuffle(plan)
    with tempfile.TemporaryDirectory(prefix="talklog-faults-") as folder:
        return asyncio.run(_run(shape, given.state or Path(folder), plan))


async def _run(shape: Shape, folder: Path, plan: list[Fault]) -> int:
    failed: list[str] = []
    async with Field(shape, folder, _say).open() as field:
        for number, fault in enumerate(plan, 1):
            _say(f"{number:>3} of {len(plan)}  {fault.name}")
            try:
                occurrence = await field.suffer(fault)
                pause = max(occurrence.pauses_s, default=0.0)
                _say(f"     {occurrence.bit}; longest pause {pause:.1f} s")
            except NoBite as error:
                failed.append(f"{fault.name} did not bite: {error}")
                _say(f"     {failed[-1]}")
            except AssertionError as error:
                failed.append(str(error))
                _say(f"     {failed[-1]}")
        verdict = await field.settle()
        _say(table(field))
        _say(summary(field, verdict))
    for line in failed:
        _say(line)
    return 0 if verdict.clean and field.verified and not failed and not field.too_big() else 1


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
