"""stack.json: what runs where, for scripts and tests.

Its shape is a promise; it is written anew whenever a process comes or goes, whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from deploy.local.kept import write_whole


class Gateway(msgspec.Struct, kw_only=True):
    """One gateway: its public address, its admin address, its process."""

    url: str
    admin: str
    pid: int


class Service(msgspec.Struct, kw_only=True):
    """One worker or persister."""

    admin: str
    pid: int


class Broker(msgspec.Struct, kw_only=True):
    """One Kafka broker."""

    address: str
    pid: int


class StackFile(msgspec.Struct, kw_only=True):
    """What stack.json says. A pid of 0: it does not run now. Given servers have no pid."""

    ready: bool = False
    kafka: str = ""
    kafka_way_in: dict[str, str] | msgspec.UnsetType = msgspec.UNSET  # only with SECURE=1
    redis: str = ""
    postgres: str = ""
    model: str = ""
    links: str | msgspec.UnsetType = msgspec.UNSET  # only with LINKS=1: where it takes orders
    gateways: list[Gateway] = []
    workers: list[Service] = []
    persisters: list[Service] = []
    brokers: list[Broker] = []
    others: dict[str, int] = {}


class Running(Protocol):
    """What is told of one process."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def address(self) -> str: ...  # noqa: D102
    @property
    def admin(self) -> str: ...  # noqa: D102
    @property
    def pid(self) -> int: ...  # noqa: D102


def with_processes(content: StackFile, processes: Iterable[Running]) -> StackFile:
    """The same addresses, with these processes."""
    of: dict[str, list[Running]] = {}
    for process in processes:
        of.setdefault(process.kind, []).append(process)
    return msgspec.structs.replace(
        content,
        gateways=[Gateway(url=p.address, admin=p.admin, pid=p.pid) for p in of.pop("gateway", [])],
        workers=[Service(admin=p.admin, pid=p.pid) for p in of.pop("worker", [])],
        persisters=[Service(admin=p.admin, pid=p.pid) for p in of.pop("persister", [])],
        brokers=[Broker(address=p.address, pid=p.pid) for p in of.pop("kafka", [])],
        others={p.name: p.pid for each in of.values() for p in each},
    )


def write(state: Path, content: StackFile) -> None:
    """Write `state`/stack.json."""
    text = msgspec.json.format(msgspec.json.encode(content))
    write_whole(state / "stack.json", text, durable=False)


def read(state: Path) -> StackFile | None:
    """What `state`/stack.json says, None if there is no readable one."""
    try:
        return msgspec.json.decode((state / "stack.json").read_bytes(), type=StackFile)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
