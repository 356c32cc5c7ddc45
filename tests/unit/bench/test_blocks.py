"""A process measures the turns of its own loop: what computes is a block, what waits is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import blocks
from tests.waiting import WITHIN_S, wait_until

LOOP = """
import asyncio, time, uvloop

def compute(cpu_s):
    began_s = time.thread_time()
    while time.thread_time() - began_s < cpu_s:
        pass

async def main():
    compute(0.5)  # before it is begun anew
    print("runs", flush=True)
    while True:
        await asyncio.sleep(0.2)
        compute(0.06)

uvloop.run(main())
"""


def test_a_turn_that_computes_is_a_block_and_is_forgotten_when_it_begins_anew(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOOP],
        env=os.environ | blocks.variables(tmp_path),
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            blocks.anew(tmp_path, process.pid)
            wait_until(lambda: _are_seen(blocks.longest(tmp_path, process.pid)), WITHIN_S, "turns")
            found = blocks.longest(tmp_path, process.pid)
        finally:
            process.kill()
    assert found[0].cpu_ms < 500


def _are_seen(found: list[blocks.Block]) -> bool:
    """Whether a turn was measured, and where it computed."""
    return any(each.cpu_ms >= 60 and "compute" in "".join(each.seen) for each in found)


def test_a_process_that_does_not_measure_itself_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "WRITTEN_WITHIN_S", 0.2)
    with pytest.raises(AssertionError, match="process 1 measures its turns"):
        blocks.anew(tmp_path, 1)
