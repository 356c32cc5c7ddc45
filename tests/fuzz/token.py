"""A token, what it says once it is signed, and a published set of keys.

The first byte says which of the three the rest is.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from jwt import PyJWS

from gateway.identity.claims import PATTERNS_MAX, SUBJECT_MAX_CHARS, BadToken, Expected, rights_of
from gateway.identity.keys import KEYS_MAX, BadKeys, keys_of
from gateway.identity.rights import SUBJECT, VERBS, Rights
from gateway.identity.signature import (
    ALGORITHMS,
    KID_MAX_CHARS,
    TOKEN_MAX_CHARS,
    Head,
    claims_of,
    head_of,
    secret_key,
)

SECRET = "a secret of sixty-four bytes, which nobody who fuzzes can know ..."
KEY = secret_key(SECRET, "HS256")
OTHER = secret_key(SECRET[::-1], "HS256")
NOW_S = 1_700_000_000.0
ISSUER, AUDIENCE = "https://issuer.example", "talklog"
STRICT = Expected(frozenset({ISSUER}), frozenset({AUDIENCE}), leeway_s=30)
SESSIONS = ("a", "alice-1", "alice", "team.alice:7", "*", "{sub}")
_jws = PyJWS()


def check(data: bytes) -> None:
    """Hold one token, its claims, or a set of keys to what is promised of it."""
    kind, rest = data[:1], data[1:]
    if kind < b"U":
        _check_unsigned(rest.decode(errors="replace"))
    elif kind < b"\xaa":
        _check_signed(rest)
    else:
        _check_keys(rest)


def _check_unsigned(token: str) -> None:
    """Nobody knows the secret, so nothing is a token."""
    try:
        head = head_of(token)
    except BadToken:
        return
    assert len(token) <= TOKEN_MAX_CHARS
    _check_head(head)
    assert _claims_or_none(token) is None


def _check_signed(payload: bytes) -> None:
    token = _jws.encode(payload, SECRET, algorithm="HS256")
    try:
        head = head_of(token)
    except BadToken:
        assert len(token) > TOKEN_MAX_CHARS or not isinstance(_loaded(payload), dict)
        return
    _check_head(head)
    claims = claims_of(token, KEY)
    assert claims == _loaded(payload)
    body, _, signature = token.rpartition(".")
    for other in (f"{body}.{signature[:-2]}", f"{body}.{'A' if signature[0] != 'A' else 'B'}AA"):
        assert _claims_or_none(other) is None
    try:
        claims_of(token, OTHER)
    except BadToken:
        _check_rights(claims)
        return
    raise AssertionError("another key's token was taken")


def _check_rights(claims: Mapping[str, Any]) -> None:
    for expected in (Expected(), STRICT):
        try:
            rights = rights_of(claims, expected, NOW_S)
        except BadToken:
            continue
        assert rights.until_s is not None
        assert not rights.over(NOW_S)
        assert claims["exp"] + expected.leeway_s == rights.until_s
        assert rights.verbs <= VERBS
        assert len(rights.sessions) <= PATTERNS_MAX
        if rights.subject is not None:
            assert 1 <= len(rights.subject) <= SUBJECT_MAX_CHARS
            assert rights.subject.isprintable()
        if expected.issuers:
            assert claims["iss"] == ISSUER
            assert AUDIENCE in claims["aud"]
        _check_sessions(rights)


def _check_sessions(rights: Rights) -> None:
    for session_id in SESSIONS:
        may = any(_fits(each, rights.subject, session_id) for each in rights.sessions)
        assert rights.may("read", session_id) is (may and "read" in rights.verbs)


def _fits(pattern: str, subject: str | None, session_id: str) -> bool:
    """Say by another way whether the pattern names the session: which of its ends can be reached?

    After each sign of the pattern, `ends` are the lengths of the session's beginning that it fits.
    """
    if SUBJECT in pattern and subject is None:
        return False
    ends = {0}
    for at, part in enumerate(pattern.split("*")):
        if at:
            ends = set(range(min(ends), len(session_id) + 1))
        said = part.replace(SUBJECT, subject or "")
        ends = {end + len(said) for end in ends if session_id.startswith(said, end)}
        if not ends:
            return False
    return len(session_id) in ends


def _check_keys(text: bytes) -> None:
    try:
        keys = keys_of(text)
    except BadKeys as refusal:
        str(refusal).encode()
        return
    assert 1 <= len(keys) <= KEYS_MAX
    # A public key of a set is no secret: what is signed with ours is not held to it.
    for algorithm in ALGORITHMS:
        key = keys.find(Head(algorithm, None, None))
        assert key is None or key.algorithm == algorithm


def _check_head(head: Head) -> None:
    assert head.algorithm in ALGORITHMS
    assert head.kid is None or len(head.kid) <= KID_MAX_CHARS


def _claims_or_none(token: str) -> Mapping[str, Any] | None:
    try:
        return claims_of(token, KEY)
    except BadToken:
        return None


def _loaded(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
