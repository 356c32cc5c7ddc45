"""Every fault at least once, on three brokers, while a hundred people talk; then all is judged.

Order and moments come from SEED, by default the same each time, so that a red run speaks of the
change. A fault that did not bite proves nothing and is tried again, a few times.
`python -m tests.faults` runs each many times, with chances of its own.
"""

import logging
import os
from pathlib import Path

import pytest

from tests.faults.every import each_once
from tests.faults.field import Fault, Field, NoBite, Shape
from tests.faults.report import summary, table

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

TRIES = 3
SESSIONS = int(os.environ.get("SESSIONS", "100"))


async def test_every_fault_at_least_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing lost, doubled or mixed; every fault bit, and all recovered without a hand."""
    seed = int(os.environ.get("SEED", "11"))
    caplog.set_level(logging.CRITICAL, "aiokafka")  # it tells of every broker that is dead
    failed: list[str] = []
    said = [f"SEED={seed}"]
    shape = Shape(sessions=SESSIONS, tokens=(24, 48), rate=8, outage_s=12.0, seed=seed)
    async with Field(shape, tmp_path, said.append).open() as field:
        for fault in each_once(seed):
            if problem := await _problem(field, fault):
                failed.append(f"{fault.name}: {problem}")
        verdict = await field.settle()
        said += [table(field), summary(field, verdict), *failed]
    with capsys.disabled():
        print("\n" + "\n".join(said))
    assert not failed, failed
    assert verdict.clean, verdict.findings
    assert field.verified, field.verify_said
    assert not field.too_big()


async def _problem(field: Field, fault: Fault) -> str:
    problem = ""
    for _ in range(TRIES):
        try:
            await field.suffer(fault)
        except NoBite as error:
            problem = str(error)
        except AssertionError as error:
            return str(error)
        else:
            return ""
    return problem
