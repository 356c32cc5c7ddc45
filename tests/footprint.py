"""What the processes of a stack take: memory and open files, at some moments, as a table."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from deploy.local import process_list
from tests.stack import RunningStack

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of one process, without its children: memory that is resident, and open files."""

    rss_bytes: int
    files: int


Look = Mapping[str, Footprint]


def look(stack: RunningStack) -> Look:
    """Look at every process that lives, by its name."""
    found: dict[str, Footprint] = {}
    for each in process_list.read(stack.state):
        with contextlib.suppress(psutil.Error):
            if each.pid:
                process = psutil.Process(each.pid)
                found[each.name] = Footprint(process.memory_info().rss, process.num_fds())
    return found


def table(looks: Mapping[str, Look]) -> str:
    """Give a row for each process, with a pair of columns for each look."""
    heads = " | ".join(f"{when}: MiB | files" for when in looks)
    lines = [f"| process | {heads} |", "|---" * (1 + 2 * len(looks)) + "|"]
    for name in dict.fromkeys(name for each in looks.values() for name in each):
        cells = " | ".join(_cell(each.get(name)) for each in looks.values())
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _cell(footprint: Footprint | None) -> str:
    return f"{footprint.rss_bytes / MIB:.0f} | {footprint.files}" if footprint else "- | -"
