"""The settings of every process: where Kafka, Redis and Postgres are, and which log it is."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from schemas.brokers import PASSWORD, SECURITY, VARIABLES, Brokers, Mechanism, Security
from schemas.process.settings import Settings, SettingsError, given
from schemas.process.tls import unusable

Port = Annotated[int, Field(ge=0, le=65535)]
LOOPBACK = "127.0.0.1"
_HOST = re.compile(r"(?:([^\[\]:]+)|\[([0-9a-f.]*:[0-9a-f:.]*)\])(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str | None:
    """Give the name or address in a Host header, with a port or without one; None: it is none.

    Letter by letter: what takes an address apart passes over some that are none.
    """
    found = _HOST.fullmatch(host.lower())
    return None if found is None else found[1] or found[2]


def _own_address(host: str) -> str:
    """Refuse a name: which address it is, and whether it is reached from outside, may change."""
    try:
        ip_address(host)
    except ValueError:
        raise ValueError("no address, as 127.0.0.1, 0.0.0.0 or ::") from None
    return host


class Connections(Settings):
    """Addresses of the servers, the log's epoch and its number of shards."""

    kafka: str = Field("127.0.0.1:9092", description="brokers, host:port, separated by commas")
    kafka_security: Security = Field(
        "plaintext",
        description="how the brokers are spoken to, as Kafka's security.protocol; ssl is TLS",
    )
    kafka_sasl_mechanism: Mechanism = Field(
        "", description="how the brokers are told who it is, with sasl_plaintext and sasl_ssl"
    )
    kafka_user: str = Field("", description="name for PLAIN and SCRAM")
    kafka_password: str = Field("", repr=False, description="its password")
    kafka_token_file: str = Field(
        "", description="file with the token for OAUTHBEARER; read again for each connection"
    )
    kafka_token_url: str = Field(
        "", description="or the server that gives tokens to our name and password (OAuth 2.0)"
    )
    kafka_token_scope: str = Field("", description="scope that it is asked for, if any")
    kafka_ca: str = Field(
        "", description="file (PEM) of who signs the brokers' certificates; empty: as the system"
    )
    kafka_certificate: str = Field("", description="file (PEM) with our own certificate, for TLS")
    kafka_key: str = Field(
        "", description="file (PEM) with its key; empty: it is in the certificate's file"
    )
    # Both may hold a password: they are never shown.
    redis_url: str = Field("redis://127.0.0.1:6379/0", repr=False, description="Redis or Valkey")
    postgres_dsn: str = Field("postgresql://127.0.0.1/talklog", repr=False, description="Postgres")
    postgres_pooler: Literal["none", "transaction"] = Field(
        "none", description="transaction: Postgres is behind PgBouncer in transaction mode"
    )
    epoch: int = Field(ge=1, description="Unix time (s) at which the topics were made")
    shards: int = Field(8, ge=1, le=10_000, description="partitions of each session topic")
    admin_port: Port = Field(0, description="health and metrics; 0: none")
    admin_host: Annotated[str, AfterValidator(_own_address)] = Field(
        LOOPBACK,
        description="address of the admin port; 0.0.0.0 or :: for probes and scrapers from outside",
    )
    stall_limit_s: float = Field(
        30.0,
        gt=0,
        description="a reader that stands still or a loop blocked for so long ends its process",
    )
    loop_blocked_log_s: float = Field(
        1.0, ge=0.5, description="an event loop blocked for so long is logged, with its stack"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, else json"
    )
    unknown_names: Literal["refuse", "warn"] = Field(
        "refuse",
        description="a `TALKLOG_` name that no process knows: refuse to start, or warn of it (as "
        "the image does)",
    )

    @field_validator("kafka_security", mode="before")
    @classmethod
    def _as_kafka_writes_it(cls, security: object) -> object:
        return security.lower() if isinstance(security, str) else security

    def brokers(self) -> Brokers:
        """Give what a client of Kafka is given."""
        return Brokers(
            addresses=self.kafka,
            security=self.kafka_security,
            mechanism=self.kafka_sasl_mechanism,
            user=self.kafka_user,
            password=self.kafka_password,
            token_file=self.kafka_token_file,
            token_url=self.kafka_token_url,
            token_scope=self.kafka_token_scope,
            ca=self.kafka_ca,
            certificate=self.kafka_certificate,
            key=self.kafka_key,
        )

    @property
    def pooled(self) -> bool:
        """Whether a connection to Postgres lasts for one transaction only."""
        return self.postgres_pooler == "transaction"

    def contradictions(self) -> list[str]:
        """Give a line for each setting that can't be right beside the others, by its name."""
        return unusable(self.brokers())


def brokers_in(environ: Mapping[str, str], addresses: str) -> Brokers:
    """Give the brokers at these addresses, with the way in that an environment names.

    For who is no process of ours: it reads nothing else of it. Raises SettingsError.
    """
    found: dict[str, Any] = {part: environ.get(name, "") for part, name in VARIABLES.items()}
    found |= {
        "security": (environ.get(SECURITY) or "plaintext").lower(),
        "password": given(PASSWORD, environ) or "",
    }
    brokers = Brokers(addresses, **found)
    if problems := unusable(brokers):
        raise SettingsError(problems)
    return brokers
