"""Gateways, workers and persisters: the project's own processes in the local stack."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import deploy
from deploy.local.probe import http_ok
from deploy.local.program import Kind, Program
from schemas.brokers import PASSWORD, VARIABLES
from schemas.process.settings import FILE

GRACE_S = 5
# A little longer than they take themselves: they still write down what they could not finish.
STOP_WITHIN_S = GRACE_S + 2.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services find the servers, and which log it is."""

    kafka: str
    redis: str
    postgres: str
    model: str
    model_name: str | None
    epoch: int
    shards: int
    kafka_way_in: Mapping[str, str] = field(default_factory=dict)
    """The settings of Kafka for this tier, where the stack's own brokers ask who it is."""


def variables(
    environment: Mapping[str, str], addresses: Addresses, admin_port: int
) -> dict[str, str]:
    """The environment of any service: what was given, and where everything is."""
    given = dict(environment)
    told = {"TALKLOG_REDIS_URL": addresses.redis, "TALKLOG_POSTGRES_DSN": addresses.postgres}
    if addresses.model_name is not None:
        # The local model: a key or a model's name that is meant for another one would be wrong.
        told |= {"OPENAI_API_KEY": "local", "OPENAI_MODEL": addresses.model_name}
    if addresses.kafka_way_in:
        told |= addresses.kafka_way_in
        for name in (*VARIABLES.values(), PASSWORD + FILE):
            given.pop(name, None)
    for name in told:
        given.pop(name + FILE, None)  # it has been read, or is for another one
    return given | {
        **told,
        "TALKLOG_KAFKA": addresses.kafka,
        "TALKLOG_EPOCH": str(addresses.epoch),
        "TALKLOG_SHARDS": str(addresses.shards),
        "TALKLOG_ADMIN_PORT": str(admin_port),
        "TALKLOG_GRACE_S": given.get("TALKLOG_GRACE_S") or str(GRACE_S),
        "OPENAI_BASE_URL": addresses.model,
        "PYTHONUNBUFFERED": "1",
    }


SECRETS: Mapping[Kind, Sequence[str]] = {
    "gateway": ("TALKLOG_JWT_SECRET", "TALKLOG_HOOK_SECRET"),
    "worker": ("OPENAI_API_KEY", "TALKLOG_FALLBACK_API_KEY"),
}
"""What only services of a kind are told."""

MODULES: Mapping[Kind, str] = {"gateway": "gateway", "worker": "workers", "persister": "persister"}


def program(
    kind: Kind,
    number: int,
    *,
    environment: Mapping[str, str],
    admin_port: int,
    public_port: int | None = None,
) -> Program:
    """How to run the service, the `number`th of its kind (from 1)."""
    extra = {} if public_port is None else {"TALKLOG_PORT": str(public_port)}
    others = {name for of, names in SECRETS.items() if of != kind for name in names}
    environment = {
        name: value for name, value in environment.items() if name.removesuffix(FILE) not in others
    }

    async def ready() -> bool:
        return await http_ok(admin_port, "/readyz")

    return Program(
        name=f"{kind}-{number}",
        kind=kind,
        argv=[sys.executable, "-m", MODULES[kind]],
        environment={**environment, **extra},
        ready=ready,
        address=f"http://127.0.0.1:{admin_port if public_port is None else public_port}",
        admin=f"http://127.0.0.1:{admin_port}",
        folder=Path(deploy.__file__).parent.parent,
        stop_within_s=STOP_WITHIN_S,
    )
