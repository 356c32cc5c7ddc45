"""A process measures the turns of its own loop: what computes is a block, what waits is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import blocks

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
        assert process.stdout is not None
        process.stdout.readline()
        blocks.anew(tmp_path, process.pid)
        found = list[blocks.Block]()
        while not found or found[0].cpu_ms < 60:
            found = blocks.longest(tmp_path, process.pid)
        process.kill()
    assert found[0].cpu_ms < 500
    assert any("compute" in each for each in found[0].seen)


def test_a_process_that_does_not_measure_itself_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "WRITTEN_WITHIN_S", 0.2)
    with pytest.raises(TimeoutError, match="process 1 does not"):
        blocks.anew(tmp_path, 1)
