"""How long people wait for the next word when a worker goes: `python -m tests.bench.takeovers`.

People have long answers; then workers are restarted one after another, as a deploy does it, or
killed. What is measured is the longest pause of each answer that was taken over, as its reader saw
it; and whether any text went from a screen, began anew or was written twice.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
from pathlib import Path

from tests.faults.field import Fault, Field, Occurrence, Shape
from tests.faults.kinds import kill_and_wait, restart_and_wait
from tests.faults.talker import Told

RATE = 5
"""Tokens a second of each answer."""
BETWEEN_S = 3.0


def main() -> None:
    """Run it once for each `--how`; the last lines are the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.takeovers", description=__doc__)
    parser.add_argument(
        "--how", choices=("restart", "kill"), nargs="+", default=["restart", "kill"]
    )
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--answer-seconds", type=int, default=120, help="length of an answer")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--grace-seconds", type=int, default=25)
    options = parser.parse_args()
    asyncio.run(measure(options))


async def measure(options: argparse.Namespace) -> None:
    """Let each way happen to the same people, and say what they saw."""
    tokens = options.answer_seconds * RATE
    shape = Shape(
        sessions=options.answers,
        tokens=(tokens, tokens),
        rate=RATE,
        brokers=1,
        workers=options.workers,
        persisters=1,
        grace_s=options.grace_seconds,
    )
    with tempfile.TemporaryDirectory(prefix="talklog-takeovers-") as folder:
        async with Field(shape, Path(folder), print).open() as field:
            for how in options.how:
                strike = restart_each if how == "restart" else kill_one
                before = {each.key: each.went_on for each in all_told(field)}
                occurrence = await field.suffer(Fault(how, strike))
                waits_s = [
                    each.pause_s
                    for each in all_told(field)
                    if each.went_on > before.get(each.key, 0)
                ]
                print(figures(occurrence, sorted(waits_s)))
            verdict = await field.settle()
    wrong = {kind.value: count for kind, count in verdict.counts.items()}
    print(f"messages: {wrong}; load {os.getloadavg()[0]:.1f}")


def all_told(field: Field) -> list[Told]:
    """Every message so far: what met an earlier way must not count for this one."""
    return [told for talker in field.talkers for told in talker.told]


async def restart_each(field: Field) -> str:
    """SIGTERM to one worker after another, the next when the one before is back."""
    names = field.names("worker")
    for name in names:
        await restart_and_wait(field, name)
        await asyncio.sleep(BETWEEN_S)
    return f"{', '.join(names)} were restarted"


async def kill_one(field: Field) -> str:
    """kill -9 of one worker."""
    name = field.chance.choice(field.names("worker"))
    await kill_and_wait(field, name)
    return f"{name} was killed"


def figures(occurrence: Occurrence, waits_s: list[float]) -> str:
    """The figures of one way, as a line for people."""
    waits = "nobody waited"
    if waits_s:
        tenths = statistics.quantiles(waits_s, n=10) if len(waits_s) > 1 else waits_s * 9
        shown = ", ".join(f"{wait_s:.1f}" for wait_s in tenths)
        waits = f"their longest waits, by tenths: {shown}, max {waits_s[-1]:.1f} s"
    return (
        f"{occurrence.fault}: {occurrence.bit}; {occurrence.running} answers ran,"
        f" {occurrence.went_on} went on, {occurrence.begun_anew} began anew,"
        f" errors {dict(occurrence.errors)}; {waits}"
    )


if __name__ == "__main__":
    main()
