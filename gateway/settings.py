"""The gateway's settings; what is needed by every process is in `schemas.process.connections`."""

from ipaddress import ip_address
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from gateway.origins import normalised
from schemas.process.connections import Connections, Port


class GatewaySettings(Connections):
    """Where to listen, who may connect, how long a drain may take."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8000, description="port to listen on; 0: a free one")
    origins: str = Field(
        "",
        description="origins of pages that may connect, as `https://chat.example`, separated by "
        "commas; `null`: a page opened as a file; empty: this host's own",
    )
    auth: Literal["none", "jwt"] = Field("none", description="none: loopback only")
    models: str = Field("", description="models a client may ask for, separated by commas")
    messages_per_minute: int = Field(20, ge=0, description="per session; 0: no limit")
    connections_per_session: int = Field(10, ge=1, description="on this gateway")
    idle_limit_s: float = Field(
        0.0, ge=0, description="a socket on which nothing is said for so long is closed; 0: never"
    )
    shard_log_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        description="memory for the newest records of all shards; sockets are served from it",
    )
    grace_s: float = Field(5.0, ge=0, le=3600, description="longest time a drain may take")
    canary_every_s: float = Field(
        5.0, ge=0, description="/readyz: how often the way through the log is tried; 0: never"
    )

    @field_validator("auth")
    @classmethod
    def _auth_is_safe(cls, auth: str, info: ValidationInfo) -> str:
        if auth == "jwt":
            raise ValueError("not built yet; only none works, on a loopback address")
        host = info.data.get("host", "")
        if not is_loopback(host):
            raise ValueError(f"without authentication only loopback is served, not {host!r}")
        return auth

    @field_validator("origins")
    @classmethod
    def _origins_as_browsers_send_them(cls, origins: str) -> str:
        return ",".join(normalised(origins))

    def allowed_origins(self) -> frozenset[str]:
        """Give the allow-list of origins, empty if only the host itself is allowed."""
        return frozenset(_listed(self.origins))

    def allowed_models(self) -> frozenset[str]:
        """Give the models that a client may name."""
        return frozenset(_listed(self.models))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
