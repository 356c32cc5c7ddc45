"""The gateway's settings; what is needed by every process is in `schemas.process.connections`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from gateway.identity.client_address import Network, networks
from gateway.identity.fetching import is_url
from gateway.identity.keys import BadKeys, keys_of
from gateway.identity.signature import BadKey, secret_key
from gateway.limits.settings import LimitSettings
from gateway.origins import normalised
from schemas.process.connections import Port, is_loopback
from schemas.process.settings import listed


class GatewaySettings(LimitSettings):
    """Where to listen, who may connect, how long a drain may take."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8000, description="port to listen on; 0: a free one")
    origins: str = Field(
        "",
        description="origins of pages that may connect, as `https://chat.example`, separated by "
        "commas; `null`: a page opened as a file; empty: this host's own",
    )
    trusted_proxies: str = Field(
        "",
        description="addresses and networks, separated by commas, whose X-Forwarded-For says from "
        "where a client comes",
    )
    auth: Literal["none", "jwt", "hook"] = Field(
        "none",
        description="none: loopback only; jwt: by tokens; hook: by a call to your own backend; see "
        "security.md",
    )
    jwt_secret_algorithm: Literal["HS256", "HS384", "HS512"] = Field(
        "HS256", description="how tokens are signed with the secret"
    )
    jwt_secret: str = Field(
        "", repr=False, description="shared secret that signs tokens, at least 32 bytes"
    )
    jwt_jwks: str = Field(
        "",
        validate_default=True,
        description="JWK sets that sign tokens, files or URLs, separated by commas: one, or one "
        "for each issuer",
    )
    jwt_jwks_every_s: float = Field(300.0, ge=1, description="how often the JWK sets are read")
    jwt_issuer: str = Field(
        "",
        validate_default=True,
        description="who may issue tokens (`iss`), separated by commas; empty: not asked for",
    )
    jwt_audience: str = Field(
        "",
        description="for whom tokens are (`aud`), separated by commas; empty: not asked for",
    )
    jwt_leeway_s: float = Field(
        10.0, ge=0, le=300, description="so much the clocks of two machines may differ"
    )
    hook_url: str = Field(
        "", validate_default=True, description="backend that says who comes, http:// or https://"
    )
    hook_secret: str = Field(
        "", repr=False, description="tells the backend that a gateway asks (Authorization: Bearer)"
    )
    hook_headers: str = Field(
        "cookie,authorization,origin,user-agent",
        description="headers of a handshake that the backend is told, separated by commas",
    )
    hook_timeout_s: float = Field(
        2.0, gt=0, le=30, description="the backend is waited for no longer"
    )
    models: str = Field("", description="models a client may ask for, separated by commas")
    idle_limit_s: float = Field(
        0.0, ge=0, description="a socket on which nothing is said for so long is closed; 0: never"
    )
    redis_answer_ms: int = Field(
        500,
        ge=10,
        le=60_000,
        description="longest wait for Redis; then this gateway goes on without it for 5 s",
    )
    shard_log_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        description="memory for the newest records of its shards; sockets are served from it",
    )
    grace_s: float = Field(5.0, ge=0, le=3600, description="longest time a drain may take")
    drain_delay_s: float = Field(
        0.0,
        ge=0,
        le=600,
        description="at SIGTERM /readyz says so for this long before anybody is sent away; for "
        "load balancers that ask it",
    )
    canary_every_s: float = Field(
        5.0, ge=0, description="/readyz: how often the way through the log is tried; 0: never"
    )

    canary_way: Literal["log", "tail"] = Field(
        "log",
        description="where the canary begins: log, which the gateway must have the right to write; "
        "tail, behind what is read of it",
    )

    @field_validator("auth")
    @classmethod
    def _auth_is_safe(cls, auth: str, info: ValidationInfo) -> str:
        host = info.data.get("host", "")
        if auth == "none" and not is_loopback(host):
            raise ValueError(f"without authentication only loopback is served, not {host!r}")
        return auth

    @field_validator("jwt_secret")
    @classmethod
    def _secret_protects(cls, secret: str, info: ValidationInfo) -> str:
        if secret:
            try:
                secret_key(secret, info.data.get("jwt_secret_algorithm", "HS256"))
            except BadKey as error:
                raise ValueError(str(error)) from None
        return secret

    @field_validator("jwt_jwks")
    @classmethod
    def _keys_are_there(cls, jwks: str, info: ValidationInfo) -> str:
        for place in listed(jwks):
            if not is_url(place):
                _check_key_file(place)
        wanted = info.data.get("auth") == "jwt" and info.data.get("jwt_secret") == ""
        if wanted and not listed(jwks):
            raise ValueError("TALKLOG_AUTH=jwt needs it, or TALKLOG_JWT_SECRET")
        return jwks

    @field_validator("hook_url")
    @classmethod
    def _hook_is_there(cls, url: str, info: ValidationInfo) -> str:
        if url and not is_url(url):
            raise ValueError("no address: http:// or https://")
        if not url and info.data.get("auth") == "hook":
            raise ValueError("TALKLOG_AUTH=hook needs it")
        return url

    @field_validator("jwt_issuer")
    @classmethod
    def _each_issuer_has_its_keys(cls, issuers: str, info: ValidationInfo) -> str:
        sets, named = len(listed(info.data.get("jwt_jwks", ""))), len(listed(issuers))
        if sets > 1 and sets != named:
            raise ValueError(f"{named} issuers, but TALKLOG_JWT_JWKS has {sets} sets: as many")
        return issuers

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_networks(cls, proxies: str) -> str:
        networks(proxies)
        return proxies

    @field_validator("origins")
    @classmethod
    def _origins_as_browsers_send_them(cls, origins: str) -> str:
        return ",".join(normalised(origins))

    def allowed_origins(self) -> frozenset[str]:
        """Give the allow-list of origins, empty if only the host itself is allowed."""
        return frozenset(listed(self.origins))

    def issuers(self) -> list[str]:
        """Give the issuers of tokens, in their order; empty: any."""
        return listed(self.jwt_issuer)

    def audiences(self) -> frozenset[str]:
        """Give the audiences of which a token must name one; empty: any."""
        return frozenset(listed(self.jwt_audience))

    def key_sets(self) -> list[str]:
        """Give the places of the JWK sets."""
        return listed(self.jwt_jwks)

    def told_headers(self) -> list[str]:
        """Give the names of the headers that a hook is told, in lower case."""
        return listed(self.hook_headers.lower())

    def proxies(self) -> tuple[Network, ...]:
        """Give the proxies that are believed."""
        return networks(self.trusted_proxies)

    def allowed_models(self) -> frozenset[str]:
        """Give the models that a client may name."""
        return frozenset(listed(self.models))


def _check_key_file(place: str) -> None:
    """Refuse a file that is no JWK set: at the start, and by the setting's name."""
    if "://" in place:
        raise ValueError(f"{place!r}: http:// or https://, or a file")
    try:
        keys_of(Path(place).read_bytes())
    except OSError as error:
        raise ValueError(f"{place!r}: {error.strerror}") from None
    except BadKeys as error:
        raise ValueError(f"{place!r}: {error}") from None
