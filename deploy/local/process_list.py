"""processes.json: the stack's processes as the supervisor knows them, for `status` and for rescue.

A pid alone may belong to another program by tomorrow, so each is kept with the time at which its
process was made.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import msgspec
import psutil

from deploy.local.kept import write_whole

SAME_START_S = 1.0


class Listed(msgspec.Struct, kw_only=True, frozen=True):
    """One process."""

    name: str
    pid: int
    state: str
    address: str
    restarts: int
    made_at: float


def write(state: Path, processes: Iterable[Listed]) -> None:
    """Write `state`/processes.json."""
    write_whole(state / "processes.json", msgspec.json.encode(list(processes)), durable=False)


def read(state: Path) -> list[Listed]:
    """What `state`/processes.json says; nothing if there is no readable one."""
    try:
        return msgspec.json.decode((state / "processes.json").read_bytes(), type=list[Listed])
    except (FileNotFoundError, msgspec.DecodeError):
        return []


def made_at(pid: int) -> float:
    """When the process was made (Unix time), 0 if there is none.

    One that has ended counts as none, although its entry stays until its parent asks for it.
    """
    try:
        process = psutil.Process(pid) if pid else None
        if process is None or process.status() == psutil.STATUS_ZOMBIE:
            return 0.0
        return process.create_time()
    except psutil.Error:
        return 0.0


def lives(listed: Listed) -> bool:
    """Whether this very process still exists."""
    there = made_at(listed.pid)
    return there > 0 and abs(there - listed.made_at) < SAME_START_S


def kill_leftovers(state: Path) -> list[str]:
    """Kill what an earlier supervisor left behind, with all it started; the names of those."""
    names = []
    for listed in read(state):
        if lives(listed):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(listed.pid, signal.SIGKILL)
            names.append(listed.name)
    return names
