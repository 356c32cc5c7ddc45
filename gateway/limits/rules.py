"""The limits by name: to whom each belongs, and what is said when it is met. Pure.

1. A limit belongs to a session, a user, an address, a socket, or the whole gateway.
2. A user is the subject of a token or of the hook's answer. Who has none has no limits as a user.
3. An address is the client's, as trusted proxies tell it. IPv6 counts by /64: a house has 2^64. One
   of this machine has no limits as an address: behind it are all who come through something here.
4. A limit of 0 is none.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

LimitName = Literal[
    "messages_per_minute",
    "user_messages_per_minute",
    "address_messages_per_minute",
    "user_running",
    "user_tokens_per_day",
    "connections_per_session",
    "connections_per_user",
    "connections_per_address",
    "connections",
    "address_connections_per_second",
    "connections_per_second",
    "address_reads_per_minute",
    "busy_after_s",
]
"""As the settings are called, without their prefix."""

WORDS: dict[LimitName, str] = {
    "messages_per_minute": "messages a minute in a session",
    "user_messages_per_minute": "messages a minute of a user",
    "address_messages_per_minute": "messages a minute from an address",
    "user_running": "messages of a user that wait or are being answered",
    "user_tokens_per_day": "tokens a day of a user",
    "connections_per_session": "connections to a session",
    "connections_per_user": "connections of a user",
    "connections_per_address": "connections from an address",
    "connections": "connections to this gateway",
    "address_connections_per_second": "new connections a second from an address",
    "connections_per_second": "new connections a second to this gateway",
    "address_reads_per_minute": "reads of older messages a minute from an address",
    "busy_after_s": "messages before it, and a longer wait in seconds than it may be",
}

CONNECTION_RETRY_MS = 5_000
"""Nobody knows when a socket closes: so long is waited before the next try."""
RUNNING_RETRY_MS = 2_000
"""Nor when an answer ends."""
IPV6_PREFIX = 64


@dataclass(frozen=True, slots=True)
class Over:
    """A limit is met; after `retry_after_ms` there may be room again."""

    limit: LimitName
    value: int
    retry_after_ms: int

    @property
    def text(self) -> str:
        """Say it in words."""
        again = f"again after {self.retry_after_ms / 1000:.1f} s"
        return f"too many {WORDS[self.limit]}: {self.value} is the limit ({self.limit}); {again}"

    def reason(self) -> dict[str, str | int]:
        """Give what the reason of a close says, shorter than 120 bytes."""
        return {
            "retry_after_ms": self.retry_after_ms,
            "limit": self.limit,
            "value": self.value,
        }


@dataclass(frozen=True, slots=True)
class Who:
    """Whose connection it is. `user` and `address` None: they have no limits."""

    session_id: str
    user: str | None = None
    address: str | None = None


def counted_address(address: str) -> str | None:
    """Give what an address is counted as, None if it is not: rule 3."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if parsed.is_loopback:
        return None
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_PREFIX), strict=False))
    return address
