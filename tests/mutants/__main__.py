"""`make mutants`: break one rule at a time in a copy of the tree; some test must notice.

The tests are run once on the unchanged copy first: a test that is red anyway notices nothing.
Exits with 1 if a change survives, if its text no longer fits the code, or if its tests can't run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.changes import MUTANTS, Mutant, misfit

ROOT = Path(__file__).parents[2]
COPIED = ("deploy", "gateway", "persister", "schemas", "tests", "workers")
FILES = ("pyproject.toml",)
TEST_LIMIT_S = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only the changes whose name holds all of these")
    parser.add_argument("--list", action="store_true", help="say which there are, and try none")
    parser.add_argument("--at-once", type=int, default=2, help="so many at a time (default: 2)")
    arguments = parser.parse_args()
    chosen = [m for m in MUTANTS if all(word in m.name for word in arguments.words)]
    if not chosen:
        parser.error(f"no change is called {' '.join(arguments.words)!r}; --list says which are")
    if arguments.list:
        print("\n".join(f"{mutant.name}  [{mutant.file}]" for mutant in chosen))
        return 0
    return _try_all(chosen, arguments.at_once)


def _try_all(chosen: list[Mutant], at_once: int) -> int:
    began = time.monotonic()
    if problem := _unchanged(chosen):
        print(problem)
        return 1
    with ThreadPoolExecutor(at_once) as pool:
        problems = [problem for problem in pool.map(_tried, chosen) if problem is not None]
    seconds = time.monotonic() - began
    print(f"{len(chosen)} changes, {len(chosen) - len(problems)} noticed, {seconds:.0f} s")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


def _unchanged(chosen: list[Mutant]) -> str | None:
    """Give what is wrong with the tests when nothing is changed."""
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    began = time.monotonic()
    with _copied() as tree:
        ran = _run_tests(tree, tests)
    print(f"green    {time.monotonic() - began:5.1f} s  unchanged" if not ran.returncode else "red")
    if ran.returncode == 0:
        return None
    return f"the tests are not green without any change:\n{ran.stdout[-3000:]}{ran.stderr[-1000:]}"


def _tried(mutant: Mutant) -> str | None:
    """Give what is wrong, or None if the tests noticed the change."""
    began = time.monotonic()
    problem = _problem(mutant)
    verdict = "noticed " if problem is None else "SURVIVED"
    print(f"{verdict} {time.monotonic() - began:5.1f} s  {mutant.name}", flush=True)
    return problem


def _problem(mutant: Mutant) -> str | None:
    source = (ROOT / mutant.file).read_text()
    if wrong := misfit(mutant, source):
        return wrong
    with _copied() as tree:
        (tree / mutant.file).write_text(source.replace(mutant.old, mutant.new))
        ran = _run_tests(tree, mutant.tests)
    if ran.returncode == 1:
        return None
    if ran.returncode == 0:
        return f"{mutant.name}: no test of {', '.join(mutant.tests)} noticed"
    return f"{mutant.name}: the tests could not run: {ran.stdout[-500:]}{ran.stderr[-500:]}"


@contextmanager
def _copied() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="talklog-mutant-") as folder:
        tree = Path(folder)
        for name in COPIED:
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy(ROOT / name, tree / name)
        yield tree


def _run_tests(
    tree: Path, tests: tuple[str, ...] | list[str]
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
        cwd=tree,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=TEST_LIMIT_S,
    )


if __name__ == "__main__":
    sys.exit(main())
