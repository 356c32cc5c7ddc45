"""Which installation a command talks to: the one the environment names, else the local stack.

Commands that only look (replay, lag, chat) must work beside a local stack without any setting, and
in an operator's shell with the services' own environment; never with half of each, unless asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deploy.local import kept, stack_file
from schemas.brokers import Brokers
from schemas.process.connections import brokers_in
from schemas.process.settings import SettingsError, given, refused_names


class NoInstallation(Exception):
    """What the command needs is not known; each line of the text says what to set."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Addresses; what is not known is None. `url` is a gateway's."""

    kafka: Brokers | None
    postgres: str | None
    epoch: int | None
    url: str | None
    state: Path
    redis: str | None = None

    def need_kafka(self) -> Brokers:
        """The brokers. Raises NoInstallation."""
        return self.kafka or Brokers(_missing("TALKLOG_KAFKA", self.state))

    def need_postgres(self) -> str:
        """The database. Raises NoInstallation."""
        return self.postgres or _missing("TALKLOG_POSTGRES_DSN", self.state)

    def need_epoch(self) -> int:
        """The epoch of the log, for cursors. Raises NoInstallation."""
        return self.epoch or int(_missing("TALKLOG_EPOCH", self.state))


def find(environ: Mapping[str, str]) -> Installation:
    """Look into the environment, then into the folder of the local stack.

    Raises:
        NoInstallation: a misspelt `TALKLOG_` name, an epoch that is no number, or a secret that
            can't be read.
    """
    problems = refused_names(environ)
    epoch = environ.get("TALKLOG_EPOCH")
    if epoch and not epoch.isdecimal():
        problems.append(f"TALKLOG_EPOCH={epoch!r}: not a whole number")
    postgres = redis = None
    try:
        postgres = given("TALKLOG_POSTGRES_DSN", environ)
        redis = given("TALKLOG_REDIS_URL", environ)
    except SettingsError as error:
        problems += error.problems
    state = Path(environ.get("STATE") or ".local")
    stack = stack_file.read(state) or stack_file.StackFile()
    kafka = environ.get("TALKLOG_KAFKA")
    brokers = None
    try:
        # With the stack's address goes the stack's way in, and with a given one the given.
        way_in = environ if kafka else stack.kafka_way_in or {}
        brokers = brokers_in(way_in, kafka or stack.kafka)
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise NoInstallation("\n".join(problems))
    return Installation(
        kafka=brokers if brokers and brokers.addresses else None,
        postgres=postgres or stack.postgres or None,
        epoch=int(epoch) if epoch else _remembered_epoch(state, kafka or "local"),
        url=stack.gateways[0].url if stack.gateways else None,
        state=state,
        redis=redis or stack.redis or None,
    )


def _remembered_epoch(state: Path, log: str) -> int | None:
    try:
        content = msgspec.json.decode((state / "kept.json").read_bytes(), type=kept.Kept)
    except (OSError, msgspec.DecodeError):
        return None
    return content.epochs.get(log)


def _missing(name: str, state: Path) -> str:
    raise NoInstallation(f"{name} is not set, and no stack runs in {state}: see `talklog up`")
