"""Figures of a run: as a table, kept by commit, and beside those of another run."""

import json
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".cache" / "bench"
TOKENS = 100_000
DIRECT, OURS, OTHER = "direct", "talklog", "against"
CPU = "CPU s "
ALL = f"{CPU}all"
P50, P99 = "added p50 ms", "added p99 ms"

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Results:
    """`loads`: of each scenario and system, the figures of its repeats; `idle`: ms a second."""

    loads: dict[str, dict[str, list[Figures]]]
    idle: dict[str, Figures]

    def median(self, scenario: str, system: str) -> Figures:
        """Give the median of every figure over the repeats."""
        repeats = self.loads[scenario][system]
        return {
            figure: statistics.median(each[figure] for each in repeats) for figure in repeats[0]
        }

    def ratios(self, scenario: str, system: str) -> Figures:
        """Give the figures that travel: a system's over the direct server's."""
        ours, ruler = self.median(scenario, system), self.median(scenario, DIRECT)
        return {name: ours[name] / ruler[name] for name in (ALL, P99, "tokens/s")}

    def table(self) -> str:
        """Give the ratios first, then each system's median and spread."""
        return "\n".join([*self._ratio_lines(), *self._lines(), *self._idle_lines()])

    def _ratio_lines(self) -> Iterator[str]:
        yield ""
        for scenario, systems in self.loads.items():
            for system in systems:
                if system != DIRECT:
                    ratio = self.ratios(scenario, system)
                    yield (
                        f"{scenario}: {system} has {ratio[ALL]:.2f} x the CPU a token of the "
                        f"direct server, {ratio[P99]:.2f} x its p99, "
                        f"{ratio['tokens/s']:.2f} x its tokens/s"
                    )

    def _lines(self) -> Iterator[str]:
        for scenario, systems in self.loads.items():
            for system, repeats in systems.items():
                yield f"\n{scenario + ', ' + system:<29}{'median':>10}{'least':>10}{'most':>10}"
                for figure, median in self.median(scenario, system).items():
                    values = [each[figure] for each in repeats]
                    yield f"{figure:<29}{median:>10.2f}{min(values):>10.2f}{max(values):>10.2f}"
        yield f"\nCPU s are for {TOKENS:,} tokens."

    def _idle_lines(self) -> Iterator[str]:
        for system, tiers in self.idle.items():
            told = ", ".join(f"{tier} {ms:.1f}" for tier, ms in tiers.items())
            yield f"at rest, {system}: {sum(tiers.values()):.1f} ms of CPU a second ({told})"

    def beside(self, before: "Results") -> str:
        """Give this run's ratios over those of another: below 1 is less than then."""
        lines = [
            f"{scenario}: {name} {ratio / before.ratios(scenario, OURS)[name]:.2f}"
            for scenario in self.loads
            if scenario in before.loads
            for name, ratio in self.ratios(scenario, OURS).items()
        ]
        return "\n".join(lines) or "no scenario is in both"


def keep(results: Results, path: Path | None = None) -> Path:
    """Write them where they are looked for by commit, or to `path`."""
    path = path or KEPT / f"{commit()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(results), indent=2))
    return path


def kept(name: str) -> Results:
    """Read figures by commit (its beginning) or file. Raises SystemExit if there are none."""
    found = [Path(name)] if Path(name).is_file() else sorted(KEPT.glob(f"{name}*.json"))
    if len(found) != 1:
        have = ", ".join(sorted(each.stem for each in KEPT.glob("*.json"))) or "nothing"
        raise SystemExit(f"--compare {name}: {len(found)} files of figures; {KEPT} has {have}")
    return Results(**json.loads(found[0].read_text()))


def commit() -> str:
    """Name the version; "changed" behind the commit if files are not as it has them."""
    asked = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=-changed"]
    ran = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.stdout.strip() or "unknown"
