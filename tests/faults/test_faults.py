"""A fair sample of the faults, on three brokers, while a hundred people talk; then all is judged.

Which faults, their order and their moments come from SEED, by default the number of the day: so
three days meet every fault, and a red run can be repeated. A fault that did not bite proves nothing
and is tried again, a few times. `python -m tests.faults` runs all, each many times.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.every import sample
from tests.faults.field import Fault, Field, NoBite, Shape
from tests.faults.report import summary, table

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

TRIES = 3
DAY_S = 86_400
SESSIONS = int(os.environ.get("SESSIONS", "100"))


async def test_a_sample_of_the_faults(
    tmp_path: Path, tell: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing lost, doubled or mixed; every fault bit, and all recovered without a hand."""
    seed = int(os.environ.get("SEED") or time.time() // DAY_S)
    caplog.set_level(logging.CRITICAL, "aiokafka")  # it tells of every broker that is dead
    failed: list[str] = []
    said = [f"SEED={seed}"]
    shape = Shape(sessions=SESSIONS, tokens=(16, 32), rate=5, outage_s=12.0, seed=seed)
    async with Field(shape, tmp_path, said.append).open() as field:
        for fault in sample(seed):
            if problem := await _problem(field, fault):
                failed.append(f"{fault.name}: {problem}")
        verdict = await field.settle()
        said += [table(field), summary(field, verdict), *failed]
    tell("\n".join(said))
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
