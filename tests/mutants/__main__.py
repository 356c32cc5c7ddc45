"""`make mutants`: break one rule at a time in a copy of the tree; its tests must notice.

Prints a line for each, and exits with 1 if one survives or no longer fits the code.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.changes import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
COPIED = ("deploy", "gateway", "persister", "schemas", "tests", "workers")
FILES = ("pyproject.toml",)
TEST_LIMIT_S = 300
AT_ONCE = 2


def main() -> int:
    wanted = sys.argv[1:]
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.name for word in wanted)]
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(_tried, chosen))
    bad = [outcome for outcome in outcomes if outcome is not None]
    seconds = time.monotonic() - began
    print(f"{len(chosen)} mutants, {len(chosen) - len(bad)} noticed, {seconds:.0f} s")
    for line in bad:
        print(line)
    return 1 if bad else 0


def _tried(mutant: Mutant) -> str | None:
    """Give what is wrong, or None if the tests noticed the change."""
    began = time.monotonic()
    problem = _problem(mutant)
    verdict = "noticed " if problem is None else "SURVIVED"
    print(f"{verdict} {time.monotonic() - began:5.1f} s  {mutant.name}", flush=True)
    return problem


def _problem(mutant: Mutant) -> str | None:
    source = (ROOT / mutant.file).read_text()
    found = source.count(mutant.old)
    if found != 1:
        return f"{mutant.name}: its text stands {found} times in {mutant.file}"
    with tempfile.TemporaryDirectory(prefix="talklog-mutant-") as folder:
        tree = Path(folder)
        for name in COPIED:
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy(ROOT / name, tree / name)
        (tree / mutant.file).write_text(source.replace(mutant.old, mutant.new))
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests],
            cwd=tree,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=TEST_LIMIT_S,
        )
    if ran.returncode == 1:
        return None
    if ran.returncode == 0:
        return f"{mutant.name}: no test of {', '.join(mutant.tests)} noticed"
    return f"{mutant.name}: the tests could not run: {ran.stdout[-500:]}{ran.stderr[-500:]}"


if __name__ == "__main__":
    sys.exit(main())
