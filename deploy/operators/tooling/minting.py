"""Makes tokens with the secret that the gateways share: for development, and for the stack's proof.

Only a shared secret can be signed with here. Where tokens are signed by keys of an owner, the owner
alone makes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.identity.claims import BadToken, Expected, rights_of
from gateway.identity.rights import VERBS
from gateway.identity.signature import BadKey, Key, secret_key, signed
from schemas.process.settings import SettingsError, given

SECRET = "TALKLOG_JWT_SECRET"  # noqa: S105 - its name
ALGORITHM = "TALKLOG_JWT_SECRET_ALGORITHM"


class CantMint(Exception):
    """No token can be made; the text names the setting or the claim."""


def minted(
    environ: Mapping[str, str],
    *,
    subject: str,
    sessions: Sequence[str],
    verbs: Sequence[str],
    now_s: float,
    lasts_s: float,
) -> str:
    """Give a token that the gateways of this environment take.

    Raises:
        CantMint: there is no secret, or the token would be refused.
    """
    if unknown := sorted(set(verbs) - VERBS):
        raise CantMint(f"verbs: {', '.join(unknown)} is none of {', '.join(sorted(VERBS))}")
    claims: dict[str, Any] = {
        "sub": subject,
        "sessions": list(sessions),
        "iat": int(now_s),
        "exp": int(now_s + lasts_s),
    }
    if verbs:
        claims["verbs"] = list(verbs)
    for claim, name in (("iss", "TALKLOG_JWT_ISSUER"), ("aud", "TALKLOG_JWT_AUDIENCE")):
        if first := environ.get(name, "").split(",")[0].strip():
            claims[claim] = first
    try:
        rights_of(claims, Expected(), now_s)
    except BadToken as error:
        raise CantMint(str(error)) from None
    return signed(claims, _key(environ))


def _key(environ: Mapping[str, str]) -> Key:
    try:
        secret = given(SECRET, environ)
    except SettingsError as error:
        raise CantMint(str(error)) from None
    if not secret:
        raise CantMint(
            f"{SECRET} is not set, and only a shared secret can sign here; "
            "make one, beside TALKLOG_JWT_JWKS too: openssl rand -base64 48"
        )
    try:
        return secret_key(secret, environ.get(ALGORITHM) or "HS256")
    except BadKey as error:
        raise CantMint(f"{SECRET}: {error}") from None
