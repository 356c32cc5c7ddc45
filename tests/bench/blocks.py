"""The longest stretches in which a process' event loop did not wait, out of a profile by time.

py-spy looks at the main thread so many times a second; a stretch is every look in a row that finds
it at work. Turns of the loop that follow each other without a wait are one stretch: a block of the
loop is no longer than this, and may be shorter.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

MAIN = "MainThread"
WAITS_IN = "Runner.run"
"""uvloop waits in its own code: Python's innermost frame is who runs the loop."""
SHOWN = 5
"""Frames that a stretch is told by."""
RUNS_THE_LOOP = 5
"""Frames above which every stack is the same."""


class Stretch(NamedTuple):
    """When it began in the profile, how long it was, and the frames it was seen in most."""

    at_s: float
    took_s: float
    frames: Sequence[str]


def longest(profile: Path, count: int) -> list[Stretch]:
    """Read a profile of the form speedscope, and give its longest stretches, longest first."""
    read = json.loads(profile.read_text())
    names = [f"{each['name']} ({each['file']}:{each['line']})" for each in read["shared"]["frames"]]
    found = [
        stretch
        for thread in read["profiles"]
        if MAIN in thread["name"]
        for stretch in _stretches(thread, names)
    ]
    return sorted(found, key=lambda each: -each.took_s)[:count]


def _stretches(thread: dict[str, Any], names: Sequence[str]) -> Iterator[Stretch]:
    at_s, looks = 0.0, list[tuple[float, float, list[str]]]()
    for stack, took_s in zip(thread["samples"], thread["weights"], strict=True):
        looks.append((at_s, took_s, [names[each] for each in stack]))
        at_s += took_s
    for works, run in groupby(looks, key=lambda look: _works(look[2])):
        if works:
            parts = list(run)
            seen = Counter(frame for _, _, stack in parts for frame in {*stack[RUNS_THE_LOOP:]})
            frames = [frame for frame, _ in seen.most_common(SHOWN)]
            yield Stretch(parts[0][0], sum(took_s for _, took_s, _ in parts), frames)


def _works(stack: Sequence[str]) -> bool:
    return bool(stack) and not stack[-1].startswith(WAITS_IN)
