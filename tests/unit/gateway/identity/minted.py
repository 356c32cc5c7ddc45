"""Keys and tokens as an owner of keys makes them, and as an attacker does."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWS
from jwt.algorithms import get_default_algorithms

SECRET = "s" * 64
NOW_S = 1_700_000_000.0
_CURVES: dict[str, Any] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


@dataclass(frozen=True)
class Owner:
    """Whoever has the private key."""

    algorithm: str
    private: Any
    kid: str | None

    def jwk(self, **other: Any) -> dict[str, Any]:
        """The public key as it is published."""
        if self.algorithm.startswith("HS"):
            k = base64.urlsafe_b64encode(self.private).rstrip(b"=").decode()
            found = {"kty": "oct", "k": k}
        else:
            maker = get_default_algorithms()[self.algorithm]
            found = json.loads(maker.to_jwk(self.private.public_key()))
        found.pop("key_ops", None)
        named = {} if self.kid is None else {"kid": self.kid}
        return found | {"alg": self.algorithm, "use": "sig"} | named | other

    def pem(self) -> bytes:
        """The public key as a text that anybody may know."""
        public: bytes = self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        return public

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A token of this owner; `header` changes what it says of itself."""
        named = {} if self.kid is None else {"kid": self.kid}
        return PyJWS().encode(
            json.dumps(claims).encode(),
            self.private,
            algorithm=self.algorithm,
            headers={**named, **header},
        )


@cache
def owner(algorithm: str, kid: str | None = "k1") -> Owner:
    """One with a key of that algorithm: the same for the same name."""
    private: Any
    if algorithm.startswith("HS"):
        private = (f"{kid}-" * 64)[:64].encode()
    elif algorithm.startswith("ES"):
        private = ec.generate_private_key(_CURVES[algorithm]())
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Owner(algorithm, private, kid)


def published(*owners: Owner) -> bytes:
    """A JWK set."""
    return json.dumps({"keys": [each.jwk() for each in owners]}).encode()


def part(value: object) -> str:
    """A part of a token, of any JSON or bytes."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def of_alice(**other: Any) -> dict[str, Any]:
    """Claims that are good now."""
    return {"sub": "alice", "exp": NOW_S + 60, "sessions": ["alice-*"], **other}


def with_secret(secret: bytes, algorithm: str, claims: Mapping[str, Any], **header: Any) -> str:
    """A token signed with those very bytes, past what the library refuses to sign with."""
    head = part({"alg": algorithm, **header})
    body = part(dict(claims))
    maker: Any = get_default_algorithms()[algorithm]
    signature = maker.sign(f"{head}.{body}".encode(), secret)
    return f"{head}.{body}.{part(signature)}"
