"""What one process of the stack is: what to run, when it is ready, how it is stopped."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

CHILD = Path(__file__).with_name("child.py")

Kind = Literal["gateway", "worker", "persister", "model", "kafka", "postgres", "redis", "links"]


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to tell that it works.

    `kind` says what it is (several of a kind have several names), `admin` is the address of its
    health and metrics, if it has one.

    `ready` is asked again and again until it says yes; it must return or raise OSError quickly.
    `prepare` runs before each start. `death_signal` is what the kernel sends it when the
    supervisor is gone.
    """

    name: str
    kind: Kind
    argv: Sequence[str]
    ready: Callable[[], Awaitable[bool]]
    address: str
    admin: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], Awaitable[None]] | None = None
    uid: int | None = None
    folder: Path | None = None
    ready_within_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 5.0
    death_signal: signal.Signals = signal.SIGKILL


def environment_of_servers() -> dict[str, str]:
    """Ours without what is for our own services: none of their secrets is a server's business."""
    ours = ("TALKLOG_", "OPENAI_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


class StartFailed(Exception):
    """A process did not become ready; the text says which, why, and what it wrote last."""


def wrapped(argv: Sequence[str], *, uid: int | None, death_signal: signal.Signals) -> list[str]:
    """The command that becomes `argv` under the rules of `deploy.local.child`."""
    user = "-" if uid is None else str(uid)
    rules = [str(os.getpid()), user, str(int(death_signal))]
    return [sys.executable, "-I", "-S", str(CHILD), *rules, "--", *argv]
