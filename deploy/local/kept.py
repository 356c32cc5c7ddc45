"""What a stack remembers from start to start: ports, epoch, password, shape.

`kept.json` lies beside the data it belongs to, is written whole or not at all, and goes with the
data on `make clean`.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec


class Kept(msgspec.Struct, kw_only=True, frozen=True):
    """The memory of one state folder.

    `epochs` is keyed by the brokers' address, "local" for our own. `brokers`, `shards`
    and `secure` are what the data was made with: none can change under data that exists.
    """

    brokers: int
    shards: int
    cluster_id: str
    postgres_password: str
    ports: dict[str, int] = {}
    epochs: dict[str, int] = {}
    secure: bool = False


class OtherShape(Exception):
    """The data in the folder was made with other BROKERS or SHARDS, or another SECURE."""


def load(state: Path, *, brokers: int, shards: int, secure: bool = False) -> Kept:
    """What is kept in `state`, or a new memory if nothing is kept yet.

    Raises:
        OtherShape: the data was made with another number of brokers or shards.
    """
    try:
        kept = msgspec.json.decode((state / "kept.json").read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept(
            brokers=brokers,
            shards=shards,
            secure=secure,
            cluster_id=secrets.token_urlsafe(16),
            postgres_password=secrets.token_urlsafe(16),
        )
    for name, old, new in (
        ("BROKERS", kept.brokers, brokers),
        ("SHARDS", kept.shards, shards),
        ("SECURE", int(kept.secure), int(secure)),
    ):
        if old != new:
            raise OtherShape(
                f"the data in {state} was made with {name}={old}: start with {name}={old}, "
                f"choose another folder (STATE=…), or throw it away with `make clean`"
            )
    return kept


def save(state: Path, kept: Kept) -> None:
    """Keep it, whole or not at all. Only the owner may read it: it holds a password."""
    write_whole(state / "kept.json", msgspec.json.format(msgspec.json.encode(kept)))


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    `durable`: also after the machine has lost its power.
    """
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    beside.replace(path)
