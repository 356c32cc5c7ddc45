"""`make chaos`: people talk, things die at random, and it is counted what they noticed.

Prints what dies as it dies, and ends with: lost, doubled, mixed, begun anew, went on, ended in
error, longest pause. Exits with 1 unless the first three are 0 and every message ended. `--break`
breaks a rule in a copy of the code first, and lets happen what needs that rule: then they must not
be 0, or this whole show proves nothing.
"""

import argparse
import asyncio
import contextlib
import logging
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests import footprint
from tests.attack.crowd import heard
from tests.faults.breaks import BREAKS, SHOWN_BY, broken_tree
from tests.faults.every import CHAOS
from tests.faults.field import Fault, Field, NoBite, Shape
from tests.faults.report import summary, table
from tests.faults.verdict import Wrong

OUTAGE_S = 15.0
YOUNG_S = 600.0
"""What the processes take then is set beside what they take at the end."""
BROKEN_PATIENCE_S = 45.0
"""What has no end by then has none: with a broken rule it is not waited for as long."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="(default: 10)")
    parser.add_argument("--seed", type=int, default=None, help="(default: a new one)")
    parser.add_argument("--sessions", type=int, default=100, help="people who talk (default: 100)")
    parser.add_argument(
        "--rest", type=float, default=0.0, help="seconds between two messages of one (default: 0)"
    )
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3, help="(default: 3)")
    parser.add_argument("--shards", type=int, default=8, help="(default: 8)")
    parser.add_argument(
        "--hostile", action="store_true", help="one of each kind of attacker is there all the time"
    )
    parser.add_argument("--break", dest="rule", choices=sorted(BREAKS), help="break a rule first")
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # dead brokers are meant
    seed = given.seed if given.seed is not None else secrets.randbelow(1_000_000)
    shape = Shape(
        sessions=given.sessions,
        rest_s=given.rest,
        brokers=given.brokers,
        shards=given.shards,
        outage_s=OUTAGE_S,
        seed=seed,
        hostile=given.hostile,
    )
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="talklog-chaos-")))
        tree = held.enter_context(broken_tree(given.rule)) if given.rule else None
        broke = f", with a rule broken: {given.rule}" if given.rule else ""
        print(
            f"{given.minutes:g} minutes, seed {seed}, {shape.sessions} people,"
            f" {shape.brokers} brokers, {shape.shards} shards{broke}",
            flush=True,
        )
        shown_by = SHOWN_BY[given.rule] if given.rule else ("",)
        faults = [each for each in CHAOS if each.name.startswith(shown_by)]
        return asyncio.run(_run(shape, folder, tree, faults, given.minutes * 60))


async def _run(
    shape: Shape, folder: Path, tree: Path | None, faults: Sequence[Fault], seconds: float
) -> int:
    began = time.monotonic()

    def say(line: str) -> None:
        at = time.monotonic() - began
        print(f"{at // 60:3.0f}:{at % 60:02.0f}  {line}", flush=True)

    async with Field(shape, folder, say, tree).open() as field:
        began = time.monotonic()
        if tree is not None:
            field.patience_s = BROKEN_PATIENCE_S
        young_s = min(YOUNG_S, seconds / 2)
        while time.monotonic() < began + seconds:
            await _one(field, field.chance.choice(faults))
            if not field.looks and time.monotonic() > began + young_s:
                field.note(f"after {(time.monotonic() - began) / 60:.0f} min")
        field.note("at the end")
        say("no more asking; waiting for every end, and for the rows")
        verdict = await field.settle()
        told = [each for talker in field.talkers for each in talker.told]
        print(table(field))
        print(summary(field, verdict))
        print(footprint.table(field.looks))
        if field.tally:
            print(heard(field.tally))
        counts = verdict.counts
        print(
            f"lost {counts[Wrong.LOST]} · doubled {counts[Wrong.DOUBLED]}"
            f" · mixed {counts[Wrong.MIXED]} · begun anew {sum(e.begun_anew > 0 for e in told)}"
            f" · went on {sum(e.went_on > 0 for e in told)}"
            f" · ended in error {sum(e.state == 'error' for e in told)}"
            f" · longest pause {max((e.pause_s for e in told), default=0):.1f} s",
            flush=True,
        )
    well = verdict.clean and field.verified and not field.given_up and not field.too_big()
    return 0 if well else 1


async def _one(field: Field, fault: Fault) -> None:
    field.say(fault.name)
    reconnects = sum(each.counts["reconnects"] for each in field.talkers)
    try:
        done = await field.suffer(fault)
    except NoBite as error:
        field.say(f"  it did not bite: {error}")
    except AssertionError as error:
        field.say(f"  NOT RECOVERED: {error}")
    else:
        lost = sum(each.counts["reconnects"] for each in field.talkers) - reconnects
        field.say(
            f"  {done.bit}; readers: {done.begun_anew} answers began anew, {done.went_on} went on,"
            f" {lost} sockets lost, longest pause {max(done.pauses_s, default=0):.1f} s,"
            f" all well after {done.recovered_s:.1f} s"
        )


if __name__ == "__main__":
    sys.exit(main())
