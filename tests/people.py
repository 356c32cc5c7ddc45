"""Who people are, for a stack that asks for tokens and stands behind a proxy: each is his own.

A stack with `SETTINGS` knows everybody by a token, and believes what this machine says of where
somebody comes from: so each client of a test has a user and an address, and the limits of both hold
as they would for people. What sends no such header comes from loopback, which has no limits.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.identity.signature import secret_key, signed

SECRET = "the secret that the tests' people share with the gateways: 64 by"
KEY = secret_key(SECRET, "HS256")
SETTINGS = {
    "TALKLOG_AUTH": "jwt",
    "TALKLOG_JWT_SECRET": SECRET,
    "TALKLOG_TRUSTED_PROXIES": "127.0.0.0/8",
}
GOOD_FOR_S = 24 * 3600.0


def token(subject: str, sessions: Sequence[str], **other: Any) -> str:
    """Give a token that is good for a day; `other` changes its claims, None takes one away."""
    claims = {"sub": subject, "sessions": list(sessions), "exp": time.time() + GOOD_FOR_S} | other
    return signed({name: value for name, value in claims.items() if value is not None}, KEY)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an address, who may do all in the sessions that begin with his name."""

    name: str
    address: str

    def token(self, **other: Any) -> str:
        """Give a token of his."""
        return token(self.name, [f"{self.name}-*"], **other)

    def headers(self, token: str | None = None) -> dict[str, str]:
        """Give what a proxy passes on of him; `token` None: a good one of his own."""
        bearer = self.token() if token is None else token
        return self.come_from() | {"Authorization": f"Bearer {bearer}"}

    def come_from(self) -> dict[str, str]:
        """Give what a proxy says of where he comes from."""
        return {"X-Forwarded-For": self.address}


def address(block: int, number: int) -> str:
    """Give one of many addresses that nobody has (RFC 2544: 198.18.0.0/15)."""
    return f"198.{18 + block % 2}.{number // 250 % 256}.{1 + number % 250}"
