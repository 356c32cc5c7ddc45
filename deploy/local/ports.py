"""Free ports, found once and kept, so that addresses stay the same from start to start.

Ports are looked for below the range from which the system takes ports for outgoing connections:
otherwise a port could be taken by a mere connection while its server is being restarted.

Between the choice of a port and the moment when its server listens, and while a server is dead,
nobody listens on it. So whoever chooses a port also reserves it: stacks that start at the same time
on one machine do not choose the same.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOWEST = 20_000
HIGHEST = 31_999
TRIES = 2_000

RESERVATIONS = Path(tempfile.gettempdir()) / f"talklog-ports-{os.getuid()}"
"""One file a port; who holds its lock has reserved it, and the system lets go when he ends."""

any_port = random.SystemRandom().randint
_reserved: dict[int, int] = {}  # by port, the descriptor that holds its lock


class NoFreePort(Exception):
    """No free port was found between LOWEST and HIGHEST."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports by name, and which kept ones had to be given up because they were taken."""

    by_name: Mapping[str, int]
    moved: Mapping[str, int]


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def reserve(port: int) -> bool:
    """Keep a free port for this process until it ends; False if it is taken or reserved."""
    if not is_free(port):
        return False
    if port in _reserved:
        return True
    try:
        RESERVATIONS.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(RESERVATIONS / str(port), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return True  # a full disk, a folder of somebody else: as good as the port itself says
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _reserved[port] = descriptor
    return True


def choose(
    names: Sequence[str],
    kept: Mapping[str, int],
    *,
    free: Callable[[int], bool] = reserve,
    pick: Callable[[int, int], int] = any_port,
) -> Ports:
    """A port for each name: the kept one if it is free, else a new one."""
    chosen: dict[str, int] = {}
    moved: dict[str, int] = {}
    # A port that another name keeps is not for the taking, although nobody listens on it now.
    used = {kept[name] for name in names if name in kept}
    for name in names:
        if name in kept and free(kept[name]):
            chosen[name] = kept[name]
            continue
        if name in kept:
            moved[name] = kept[name]
        chosen[name] = _run_of_free(1, used, free, pick)
        used.add(chosen[name])
    return Ports(chosen, moved)


def free_run(
    length: int,
    *,
    free: Callable[[int], bool] = reserve,
    pick: Callable[[int, int], int] = any_port,
) -> int:
    """The first of `length` consecutive free ports."""
    return _run_of_free(length, set(), free, pick)


def _run_of_free(
    length: int,
    used: set[int],
    free: Callable[[int], bool],
    pick: Callable[[int, int], int],
) -> int:
    for _ in range(TRIES):
        first = pick(LOWEST, HIGHEST - length + 1)
        run = range(first, first + length)
        if used.intersection(run) or _reserved.keys() & run:
            continue
        if all(free(port) for port in run):
            return first
    raise NoFreePort(f"no free port between {LOWEST} and {HIGHEST}")
