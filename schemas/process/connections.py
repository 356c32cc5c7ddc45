"""The settings of every process: where Kafka, Redis and Postgres are, and which log it is."""

from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from schemas.process.settings import Settings

Port = Annotated[int, Field(ge=0, le=65535)]
LOOPBACK = "127.0.0.1"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


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
    # Both may hold a password: they are never shown.
    redis_url: str = Field("redis://127.0.0.1:6379/0", repr=False, description="Redis or Valkey")
    postgres_dsn: str = Field("postgresql://127.0.0.1/talklog", repr=False, description="Postgres")
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
