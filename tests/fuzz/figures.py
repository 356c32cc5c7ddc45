"""What libFuzzer says of a run, as figures. Pure."""

import re
from dataclasses import dataclass

_COVERED = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_PACE = re.compile(r"stat::average_exec_per_sec:\s*(\d+)")


@dataclass(frozen=True, slots=True)
class Figures:
    """Executions, and how much of the watched code they have reached."""

    executed: int
    a_second: int
    edges: int
    features: int
    entries: int

    def __str__(self) -> str:
        """One line of a table."""
        return (
            f"{self.executed:,} executions, {self.a_second:,} a second, {self.edges:,} edges, "
            f"{self.features:,} features, {self.entries:,} entries"
        )


def figures_of(told: str) -> Figures:
    """Read the last ones of a log; 0 for what it doesn't say."""
    covered = _COVERED.findall(told)
    edges, features, entries = map(int, covered[-1] if covered else (0, 0, 0))
    return Figures(_last(_EXECUTED, told), _last(_PACE, told), edges, features, entries)


def _last(form: re.Pattern[str], told: str) -> int:
    found = form.findall(told)
    return int(found[-1]) if found else 0
