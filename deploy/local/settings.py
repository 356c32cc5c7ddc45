"""What the local stack is told: how many of each, on which port, in which folder.

The names are short (`PORT`, `WORKERS`) because people type them: `make run PORT=9000 WORKERS=2`.
A server whose address is given (`TALKLOG_KAFKA` and the like) is used and not started. A test
builds a `StackSettings` itself, so that nothing in its environment leaks in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.brokers import PASSWORD, VARIABLES
from schemas.process.connections import brokers_in
from schemas.process.settings import FILE, SettingsError, given

SECRETS = ("TALKLOG_REDIS_URL", "TALKLOG_POSTGRES_DSN")
"""Addresses that may hold a password, and may lie in a file."""

Count = Annotated[int, Field(ge=1, le=32)]


class BadStackSettings(Exception):
    """Some settings can't be used; each line of the text names one and says why."""


class StackSettings(BaseModel):
    """The settings of one local stack."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    port: int = Field(
        8000, ge=0, le=65535, alias="PORT", description="the first gateway's port; 0: a free one"
    )
    gateways: Count = Field(1, alias="GATEWAYS", description="gateways, on PORT, PORT+1, …")
    workers: Count = Field(1, alias="WORKERS", description="workers")
    persisters: Count = Field(1, alias="PERSISTERS", description="persisters")
    brokers: int = Field(1, alias="BROKERS", description="Kafka brokers, 1 or 3")
    shards: int = Field(8, ge=1, le=1024, alias="SHARDS", description="partitions of each topic")
    state: Path = Field(Path(".local"), alias="STATE", description="folder for data, logs, ports")
    restart: bool = Field(True, alias="RESTART", description="0: what dies stays dead")
    links: bool = Field(
        False,
        alias="LINKS",
        description="1: services reach servers through a proxy whose links can be cut",
    )

    secure: bool = Field(
        False,
        alias="SECURE",
        description="1: TLS and passwords everywhere, and each tier with the rights it needs",
    )

    kafka: str | None = Field(
        None, alias="TALKLOG_KAFKA", description="brokers that run already, host:port[,host:port]"
    )
    redis: str | None = Field(
        None, alias="TALKLOG_REDIS_URL", description="a Redis that runs already"
    )
    postgres: str | None = Field(
        None, alias="TALKLOG_POSTGRES_DSN", description="a PostgreSQL that runs already"
    )
    model: str | None = Field(
        None, alias="OPENAI_BASE_URL", description="a model's OpenAI-compatible address, with /v1"
    )
    epoch: int | None = Field(
        None, ge=1, alias="TALKLOG_EPOCH", description="the epoch of topics that exist already"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.brokers not in (1, 3):
            raise ValueError("BROKERS must be 1 or 3")
        if self.port and self.port + self.gateways - 1 > 65535:
            raise ValueError("PORT + GATEWAYS goes past 65535")
        if self.links:
            # A given broker sends its clients where it wants, past any proxy.
            self._check_all_are_ours("LINKS")
            self._check_links()
        if self.secure:
            # What is given has rules of its own.
            self._check_all_are_ours("SECURE")
        return self

    def _check_all_are_ours(self, name: str) -> None:
        given = {
            "TALKLOG_KAFKA": self.kafka,
            "TALKLOG_REDIS_URL": self.redis,
            "TALKLOG_POSTGRES_DSN": self.postgres,
        }
        if names := [each for each, value in given.items() if value]:
            raise ValueError(
                f"{name}=1 needs servers of the stack's own, without {', '.join(names)}"
            )

    def _check_links(self) -> None:
        if self.secure:
            raise ValueError("LINKS=1 reads what goes over a link, and SECURE=1 encrypts it")
        if self.model and urlsplit(self.model).scheme != "http":
            raise ValueError("LINKS=1 can carry a model only at an http:// address")


def from_environment(environment: Mapping[str, str]) -> StackSettings:
    """The stack's settings; an empty variable is one that was not given.

    Raises:
        BadStackSettings: with every mistake at once, each under its variable's name.
    """
    names = {field.alias or name for name, field in StackSettings.model_fields.items()}
    try:
        secrets = {name: given(name, environment) for name in SECRETS}
        found = {name: environment.get(name) for name in sorted(names)} | secrets
        if not found["TALKLOG_KAFKA"]:
            _check_no_way_in(environment)
        brokers_in(environment, found["TALKLOG_KAFKA"] or "")
        return StackSettings.model_validate({name: text for name, text in found.items() if text})
    except SettingsError as error:
        raise BadStackSettings(str(error)) from error
    except ValidationError as error:
        raise BadStackSettings("\n".join(_mistakes(error))) from error


def _check_no_way_in(environment: Mapping[str, str]) -> None:
    """Refuse what would be for brokers that are not given. Raises SettingsError."""
    names = [name for name in (*VARIABLES.values(), PASSWORD + FILE) if environment.get(name)]
    if names:
        raise SettingsError([f"{name}: for brokers that TALKLOG_KAFKA names" for name in names])


def _mistakes(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(str(part) for part in mistake['loc'])}={mistake['input']!r}: {mistake['msg']}"
        if mistake["loc"]
        else mistake["msg"].removeprefix("Value error, ")
        for mistake in error.errors()
    ]
