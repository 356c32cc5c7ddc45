"""What a token says, once its signature is known to be good -> what its bearer may do. Pure.

1. `exp` is there, and not past. A token for ever is none.
2. `nbf` and `iat`, if they are there, are not to come.
3. `iss` is one of the issuers that are set, if any is.
4. `aud` names one of the audiences that are set, if any is.
5. `sub`, if it is there, is printable text: it goes into the log, the tables and other people's
   terminals.
6. `sessions` is a list of patterns; without it the bearer may do nothing.
7. `verbs` is a list of verbs; without it he may do all. One of a later version is passed over.

The clocks of two machines differ: each time has a leeway. What is malformed makes the whole token
bad, for nobody knows what was meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from gateway.identity.rights import VERBS, Rights, Verb

SUBJECT_MAX_CHARS = 255
PATTERNS_MAX = 100
TIME_MAX_S = 1e12
"""A later moment is a mistake (milliseconds, mostly)."""


class BadToken(Exception):
    """It gives no rights now; the text says which rule, and nothing of what the token holds."""


class CantTell(Exception):
    """Whether it gives rights can't be told now; the text says why."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say; an empty set: anything, or nothing."""

    issuers: frozenset[str] = frozenset()
    audiences: frozenset[str] = frozenset()
    leeway_s: float = 0.0


def rights_of(claims: Mapping[str, Any], expected: Expected, now_s: float) -> Rights:
    """Give what the bearer may do; `now_s` is the wall clock's.

    Raises:
        BadToken: by one of the rules.
    """
    until_s = _until_s(claims, expected.leeway_s, now_s)
    for name in ("nbf", "iat"):
        begins_s = _time_s(claims, name)
        if begins_s is not None and begins_s - expected.leeway_s > now_s:
            raise BadToken(f"{name} is to come")
    if expected.issuers and _text(claims, "iss") not in expected.issuers:
        raise BadToken("iss is no issuer of TALKLOG_JWT_ISSUER")
    if expected.audiences and expected.audiences.isdisjoint(_audiences(claims)):
        raise BadToken("aud names no audience of TALKLOG_JWT_AUDIENCE")
    verbs = _texts(claims, "verbs")
    return Rights(
        subject=_subject(claims),
        sessions=_texts(claims, "sessions") or (),
        verbs=VERBS if verbs is None else _known(verbs),
        until_s=until_s,
    )


def _until_s(claims: Mapping[str, Any], leeway_s: float, now_s: float) -> float:
    ends_s = _time_s(claims, "exp")
    if ends_s is None:
        raise BadToken("exp is missing")
    if now_s >= ends_s + leeway_s:
        raise BadToken("expired")
    return ends_s + leeway_s


def _time_s(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # `True` is an int to Python, and a date to nobody.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"{name} is no number")
    if not -TIME_MAX_S < value < TIME_MAX_S:
        raise BadToken(f"{name} is no time in seconds")
    return float(value)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is not None and not isinstance(value, str):
        raise BadToken(f"{name} is no text")
    return value


def _texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadToken(f"{name} is no list of texts")
    if len(value) > PATTERNS_MAX:
        raise BadToken(f"{name} has more than {PATTERNS_MAX} entries")
    return tuple(value)


def _audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    # RFC 7519, 4.1.3: one audience may stand there without its list.
    if isinstance(claims.get("aud"), str):
        return (claims["aud"],)
    return _texts(claims, "aud") or ()


def _subject(claims: Mapping[str, Any]) -> str | None:
    subject = _text(claims, "sub")
    if subject is None:
        return None
    if not 1 <= len(subject) <= SUBJECT_MAX_CHARS or not subject.isprintable():
        raise BadToken(f"sub is not 1 to {SUBJECT_MAX_CHARS} printable characters")
    return subject


def _known(verbs: tuple[str, ...]) -> frozenset[Verb]:
    return frozenset(verb for verb in get_args(Verb) if verb in verbs)
