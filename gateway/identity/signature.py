"""The owner of the library of tokens: is this signed by that key, and what does it say?

A key brings its algorithm along, and a token that names another one is refused unread: else a
public key could be used as the secret of an HMAC, or a token name none. What a token says of itself
before its signature is checked (`Head`) only chooses the key.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from jwt import PyJWK, PyJWS
from jwt.exceptions import PyJWTError

from gateway.identity.claims import BadToken

TOKEN_MAX_CHARS = 8 * 1024
KID_MAX_CHARS = 256
ALGORITHMS = frozenset(
    f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512)
) | {"EdDSA"}
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+", re.ASCII)
_json = msgspec.json.Decoder()
_jws = PyJWS(algorithms=sorted(ALGORITHMS))


class BadKey(Exception):
    """No token can be held to it; the text says why, without the key."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key and the one algorithm for which it is used."""

    kid: str | None
    algorithm: str
    material: PyJWK = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Head:
    """What a token says of its signature: nothing of it is known to be true."""

    algorithm: str
    kid: str | None
    issuer: str | None


def head_of(token: str) -> Head:
    """Read which key a token asks to be held to.

    Raises:
        BadToken: it is no signed token.
    """
    if len(token) > TOKEN_MAX_CHARS:
        raise BadToken(f"the token has more than {TOKEN_MAX_CHARS} characters")
    shape = _SHAPE.fullmatch(token)
    if shape is None:
        raise BadToken("no signed token of three parts")
    header, claims = _object(shape[1]), _object(shape[2])
    # RFC 7515, 4.1.11: what is critical must be understood, and nothing here is.
    if "crit" in header:
        raise BadToken("crit is not understood")
    algorithm, kid, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise BadToken("no algorithm that is taken")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= KID_MAX_CHARS):
        raise BadToken(f"kid is no text of {KID_MAX_CHARS} characters")
    return Head(algorithm, kid, issuer if isinstance(issuer, str) else None)


def claims_of(token: str, key: Key) -> Mapping[str, Any]:
    """Check the signature and give what the token says.

    Raises:
        BadToken: it is not signed by this key, with its algorithm.
    """
    try:
        payload = _jws.decode(token, key.material, algorithms=[key.algorithm])
    except (PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise BadToken("the signature is not that of its key") from error
    return _parsed(payload)


def key_of(jwk: Mapping[str, Any]) -> Key:
    """Make a key of its JSON (RFC 7517); one that names no algorithm has its type's first.

    Raises:
        BadKey: it is private, too short, or of a type or algorithm that is not taken.
    """
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= KID_MAX_CHARS):
        raise BadKey(f"kid is no text of at most {KID_MAX_CHARS} characters")
    if "d" in jwk:
        raise BadKey("it holds a private key, which nobody but its owner should have")
    if jwk.get("kty") == "oct" and "alg" not in jwk:
        raise BadKey("a shared secret must name its alg")
    if "alg" in jwk and not (isinstance(jwk["alg"], str) and jwk["alg"] in ALGORITHMS):
        raise BadKey("its alg is not taken")
    try:
        material = PyJWK.from_dict(dict(jwk))
        # A text that is a public key is refused as a secret here.
        too_short = material.Algorithm.check_key_length(
            material.Algorithm.prepare_key(material.key)
        )
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadKey(f"it can't be used ({type(error).__name__})") from error
    if material.algorithm_name not in ALGORITHMS:
        raise BadKey("its alg is not taken")
    if too_short:
        raise BadKey("it is too short for its alg")
    return Key(kid, material.algorithm_name, material)


def secret_key(secret: str, algorithm: str) -> Key:
    """Make a key of a shared secret. Raises BadKey."""
    encoded = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    return key_of({"kty": "oct", "k": encoded, "alg": algorithm})


def signed(claims: Mapping[str, Any], key: Key) -> str:
    """Make a token; the key must be one that can sign, as a secret can."""
    headers = {} if key.kid is None else {"kid": key.kid}
    return _jws.encode(msgspec.json.encode(claims), key.material, headers=headers)


def _object(part: str) -> Mapping[str, Any]:
    try:
        return _parsed(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError as error:
        raise BadToken("a part is no base64") from error


def _parsed(text: bytes) -> Mapping[str, Any]:
    try:
        found = _json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadToken("a part is no JSON") from error
    if not isinstance(found, dict):
        raise BadToken("a part is no JSON object")
    return found
