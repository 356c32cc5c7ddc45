"""The page "growth": what CPU and p99 are at each size of what grows, and how steeply they grow.

The slope is that of the logarithms: 0 where the size does not matter, 1 where twice as much costs
twice as much of every event.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression

from tests.bench.results import KEPT, commit


@dataclass(frozen=True, slots=True)
class Row:
    """One size; `foreign_cores` is what the rest of the machine took meanwhile."""

    size: int
    cpu: float
    p99_ms: float
    foreign_cores: float = 0.0


@dataclass(frozen=True, slots=True)
class Growth:
    """What grows, and what `cpu` is: "µs a call", "ms a cursor"."""

    what: str
    unit: str
    rows: tuple[Row, ...]


def slope(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """Give the slope of log(value) over log(size), of the line that fits best.

    None: there is no line through these points.
    """
    if len(set(sizes)) < 2 or min(values) <= 0:
        return None
    return linear_regression(list(map(math.log, sizes)), list(map(math.log, values))).slope


def table(page: Sequence[Growth]) -> str:
    """Give a block for each thing that grows, a row a size; each slope is since the row before."""
    return "\n".join(line for growth in page for line in _lines(growth))


def _lines(growth: Growth) -> Iterator[str]:
    yield (
        f"\n{growth.what:<28}{'CPU, ' + growth.unit:>24}{'slope':>8}{'p99 ms':>12}{'slope':>8}"
        f"{'foreign cores':>16}"
    )
    before: tuple[Row, ...] = ()
    for row in growth.rows:
        cpu, p99 = _slopes((*before, row))
        yield (
            f"{row.size:>28,}{row.cpu:>24.3f}{cpu:>8}{row.p99_ms:>12.3f}{p99:>8}"
            f"{row.foreign_cores:>16.1f}"
        )
        before = (row,)
    cpu, p99 = _slopes(growth.rows)
    yield f"{'over all sizes':>28}{cpu:>32}{p99:>20}"


def _slopes(rows: Sequence[Row]) -> tuple[str, str]:
    sizes = [row.size for row in rows]
    found = slope(sizes, [row.cpu for row in rows]), slope(sizes, [row.p99_ms for row in rows])
    cpu, p99 = ("" if each is None else f"{each:+.2f}" for each in found)
    return cpu, p99


def keep(page: Sequence[Growth], path: Path | None = None) -> Path:
    """Write the figures where those of a commit are looked for, or to `path`."""
    path = path or KEPT / f"growth-{commit()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(growth) for growth in page], indent=2))
    return path
