"""Of all that was tried, what is worth keeping: few and short entries that together reach most.

Entries with a name of words were put there by hand: a beginning, or bytes that broke a promise
once. They stay. The others have the name that the fuzzer gave them, and must reach something that
no shorter one does.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from coverage import Coverage

from tests.fuzz.targets import (
    CORPUS,
    ENTRY_MAX_BYTES,
    KEPT_MAX,
    PROJECT,
    ROOT,
    WORK,
    checker,
    entries,
)

Way = tuple[str, int, int]
"""A file, and two lines of it that came after each other."""
_GIVEN_NAME = re.compile(r"[0-9a-f]{40}")


def keep(target: str) -> str:
    """Choose anew what is kept of a target, and say how much it is."""
    check = checker(target)
    kept = entries(target)
    by_hand = [path for path in kept if not _GIVEN_NAME.fullmatch(path.name)]
    tried = (WORK / target).glob("*") if (WORK / target).is_dir() else ()
    others = {path.name: path for path in [*tried, *kept] if _GIVEN_NAME.fullmatch(path.name)}
    chosen = choose(by_hand, _short(others.values()), lambda path: ways(check, path.read_bytes()))
    for path in chosen:
        if path.parent != CORPUS / target:
            shutil.copy(path, CORPUS / target)
    names = {path.name for path in chosen}
    for path in kept:
        if path.name not in names:
            path.unlink()
    return f"{len(names)} entries of {len(by_hand) + len(others)}"


def choose(
    by_hand: Iterable[Path], others: Iterable[Path], reached_by: Callable[[Path], set[Way]]
) -> list[Path]:
    """Take all of the first, and of the others those that reach something new, up to the bound."""
    chosen = list(by_hand)
    reached: set[Way] = set().union(*map(reached_by, chosen))
    for path in others:
        if len(chosen) >= KEPT_MAX:
            break
        if new := reached_by(path) - reached:
            chosen.append(path)
            reached |= new
    return chosen


def ways(check: Callable[[bytes], None], data: bytes) -> set[Way]:
    """Give the ways through the project's code that these bytes take."""
    watched = [f"{ROOT / package}/*" for package in PROJECT]
    coverage = Coverage(data_file=None, config_file=False, branch=True, include=watched)
    with coverage.collect():
        check(data)
    return set(_ways_in(coverage))


def _ways_in(coverage: Coverage) -> Iterator[Way]:
    found = coverage.get_data()
    for file in found.measured_files():
        for start, end in found.arcs(file) or ():
            yield file, start, end


def _short(paths: Iterable[Path]) -> list[Path]:
    sized = sorted((path.stat().st_size, path.name, path) for path in paths)
    return [path for size, _, path in sized if size <= ENTRY_MAX_BYTES]
