"""`make fuzz`: one target after another for some minutes each, and what was found.

    python -m tests.fuzz [TARGET …] --minutes 10
    python -m tests.fuzz [TARGET …] --keep      put into corpus/ what reaches most, and no more

What a target has tried lies in .cache/fuzz/TARGET and is gone on from the next time. Bytes that
break a promise are left there as crash-…, and the exit code is 1.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.figures import Figures, figures_of
from tests.fuzz.keep import keep
from tests.fuzz.targets import CORPUS, ENTRY_MAX_BYTES, TARGETS, WORK

INPUT_TIMEOUT_S = 20
MEMORY_MAX_MB = 2048
FOUND = ("crash-", "timeout-", "oom-", "leak-")
EXIT_FOUND = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One target's run: its figures, and the bytes that broke a promise."""

    target: str
    figures: Figures
    found: list[Path]
    failed: bool
    log: Path

    def __str__(self) -> str:
        """One line."""
        line = f"{self.target:13} {self.figures}"
        found = "".join(f"\n  broken by {path}" for path in self.found)
        return f"{line}{found}\n  see {self.log}" if self.failed else line


def main() -> int:
    """Fuzz, or keep; give the exit code."""
    arguments = _parser().parse_args()
    targets = arguments.target or list(TARGETS)
    if arguments.keep:
        for target in targets:
            print(f"{target:13} {keep(target)}", flush=True)
        return 0
    runs = []
    for target in targets:
        print(f"{target:13} for {arguments.minutes:g} min", flush=True)
        runs.append(fuzz(target, max(1, int(arguments.minutes * 60))))
        print(runs[-1], flush=True)
    return EXIT_FOUND if any(run.failed for run in runs) else 0


def fuzz(target: str, seconds: int) -> Run:
    """Fuzz one target for so long, beginning with what is kept of it."""
    work = WORK / target
    work.mkdir(parents=True, exist_ok=True)
    before = set(_found_in(work.parent, target))
    log = work.with_suffix(".log")
    command = [
        *(sys.executable, "-m", "tests.fuzz.one", target),
        *(str(work), str(CORPUS / target)),
        f"-max_total_time={seconds}",
        f"-max_len={ENTRY_MAX_BYTES}",
        f"-timeout={INPUT_TIMEOUT_S}",
        f"-rss_limit_mb={MEMORY_MAX_MB}",
        f"-artifact_prefix={work.parent / target}-",
        "-print_final_stats=1",
    ]
    with log.open("wb") as told:
        done = subprocess.run(command, stdout=told, stderr=subprocess.STDOUT, check=False)
    figures = figures_of(log.read_text(errors="replace"))
    found = sorted(set(_found_in(work.parent, target)) - before)
    return Run(target, figures, found, bool(found) or done.returncode != 0, log)


def _found_in(folder: Path, target: str) -> list[Path]:
    return [path for kind in FOUND for path in folder.glob(f"{target}-{kind}*")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make fuzz")
    # [] is what argparse looks for when none is given.
    parser.add_argument("target", nargs="*", choices=[*TARGETS, []])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--keep", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
