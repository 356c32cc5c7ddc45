"""The longest turns of a process' event loop, as they were measured from inside it.

A process that is started with `variables(folder)` in its environment measures its loop
(`tests/bench/inside`). `anew` has it forget what was before, `longest` reads what has been since.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.waiting import wait_until

INSIDE = Path(__file__).parent / "inside"
WRITTEN_WITHIN_S = 10.0
SHOWN = 3


class Block(NamedTuple):
    """How long one turn, or few in a row, have computed; the clock's time; where it was seen."""

    cpu_ms: float
    clock_ms: float
    seen: Sequence[str]

    def __str__(self) -> str:
        seen = "".join(f"\n    {each}" for each in self.seen[:SHOWN])
        return f"{self.cpu_ms:4.0f} ms computed, {self.clock_ms:4.0f} ms by the clock{seen}"


def variables(folder: Path) -> dict[str, str]:
    """Give the environment of processes that measure their loops; they write into the folder."""
    return {"PYTHONPATH": str(INSIDE), "TURNS_FOLDER": str(folder)}


def anew(folder: Path, pid: int) -> None:
    """Forget what was until now. Raises AssertionError if this process does not measure itself."""
    marker = _written(folder, pid).with_suffix(".anew")
    marker.touch()
    wait_until(lambda: not marker.exists(), WRITTEN_WITHIN_S, f"process {pid} begins anew")


def longest(folder: Path, pid: int) -> list[Block]:
    """Give the longest blocks, the longest first."""
    read = json.loads(_written(folder, pid).read_text())
    return [Block(**each) for each in read]


def _written(folder: Path, pid: int) -> Path:
    path = folder / f"{pid}.json"
    wait_until(path.exists, WRITTEN_WITHIN_S, f"process {pid} measures its turns")
    return path
