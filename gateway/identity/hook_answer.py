"""What a team's own backend says of a visitor -> what he may do, and for how long that may be kept.

Pure. The answer is the claims of a token (`claims.py` has the rules) without its times: instead of
`exp` it says `expires_in_s`. By its status:

1. 200: the rights are in it.
2. 401: nobody that is known: he has to sign in. 403: known, and this is none of his.
3. Anything else is a backend that does not work, and says nothing of the visitor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.identity.claims import BadToken, Expected, rights_of
from gateway.identity.rights import Rights

LASTS_S = 3600.0
LASTS_MAX_S = 7 * 24 * 3600.0
KEPT_MAX_S = 3600.0
UNKNOWN, FORBIDDEN = 401, 403
NOTHING = Rights(None, (), frozenset())
_json = msgspec.json.Decoder()


class BadAnswer(Exception):
    """It says nothing that can be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`rights` None: nobody that is known. It may be given again for `kept_s`."""

    rights: Rights | None
    kept_s: float


def answer_of(status: int, body: bytes, now_s: float) -> Answer:
    """Read an answer; `now_s` is the wall clock's.

    Raises:
        BadAnswer: by its status or its form.
    """
    if status not in (200, UNKNOWN, FORBIDDEN):
        raise BadAnswer(f"the answer is {status}")
    said = _object(body) if status == 200 or body.startswith(b"{") else {}
    kept_s = _seconds(said, "cache_s", 0.0, KEPT_MAX_S)
    if status != 200:
        return Answer(None if status == UNKNOWN else NOTHING, kept_s)
    lasts_s = _seconds(said, "expires_in_s", LASTS_S, LASTS_MAX_S)
    claims = {name: said.get(name) for name in ("sub", "sessions", "verbs")}
    try:
        rights = rights_of({**claims, "exp": now_s + lasts_s}, Expected(), now_s)
    except BadToken as error:
        raise BadAnswer(str(error)) from error
    return Answer(rights, min(kept_s, lasts_s))


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        said = _json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer("the answer is no JSON") from error
    if not isinstance(said, dict):
        raise BadAnswer("the answer is no JSON object")
    return said


def _seconds(said: Mapping[str, Any], name: str, default_s: float, most_s: float) -> float:
    value = said.get(name)
    if value is None:
        return default_s
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise BadAnswer(f"{name} is no number of seconds")
    return min(float(min(value, most_s)), most_s)
