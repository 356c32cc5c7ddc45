"""One stack a folder: a file lock that the kernel lets go of, however its holder ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class RunsAlready(Exception):
    """Another supervisor holds the folder."""

    def __init__(self, state: Path, pid: int) -> None:
        super().__init__(
            f"a stack already runs in {state} (supervisor pid {pid}): "
            f"`make status` shows it, `make down` stops it, STATE=… starts another beside it"
        )
        self.pid = pid


class FolderLock:
    """Holds `state`/lock while it is entered; the file names the holder's pid."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        descriptor = os.open(self._state / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _pid(descriptor)
            os.close(descriptor)
            raise RunsAlready(self._state, pid) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def holder(state: Path) -> int | None:
    """The pid of the supervisor that holds `state`, None if nobody does."""
    try:
        descriptor = os.open(state / "lock", os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(descriptor)
    finally:
        os.close(descriptor)
    return None


def _pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0
