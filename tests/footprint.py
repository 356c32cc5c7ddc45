"""What the processes of a stack take: memory, open files and CPU, at some moments, as a table."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from deploy.local import process_list
from tests.bench.cost import cpu_of
from tests.stack import RunningStack

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of one process: memory that is resident, open files, its age; and CPU with its children."""

    rss_bytes: int
    files: int
    age_s: float
    cpu_s: float


Look = Mapping[str, Footprint]


def look(stack: RunningStack) -> Look:
    """Look at every process that lives, by its name."""
    found: dict[str, Footprint] = {}
    for each in process_list.read(stack.state):
        with contextlib.suppress(psutil.Error):
            if each.pid:
                process = psutil.Process(each.pid)
                age_s = time.time() - process.create_time()
                rss_bytes, files = process.memory_info().rss, process.num_fds()
                found[each.name] = Footprint(rss_bytes, files, age_s, cpu_of(each.pid))
    return found


def table(looks: Mapping[str, Look]) -> str:
    """Give a row for each process, with four columns for each look."""
    heads = " | ".join(f"{when}: MiB | files | minutes old | CPU s" for when in looks)
    lines = [f"| process | {heads} |", "|---" * (1 + 4 * len(looks)) + "|"]
    for name in dict.fromkeys(name for each in looks.values() for name in each):
        cells = " | ".join(_cell(each.get(name)) for each in looks.values())
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _cell(footprint: Footprint | None) -> str:
    if footprint is None:
        return "- | - | - | -"
    mib, minutes = footprint.rss_bytes / MIB, footprint.age_s / 60
    return f"{mib:.0f} | {footprint.files} | {minutes:.1f} | {footprint.cpu_s:.0f}"
