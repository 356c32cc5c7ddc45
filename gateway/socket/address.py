"""What a WebSocket's address asks for, and whether a browser's page may ask. Pure."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from schemas.limits import SESSION_ID_MAX_CHARS
from schemas.process.connections import host_name

HISTORY_MAX = 1000
CURSOR_MAX_CHARS = 64
QUERY_MAX_CHARS = 7 * 1024
"""A token may be in it; the library takes request lines of 8 KiB."""
QUERY_MAX_FIELDS = 16
ORIGIN_MAX_CHARS = 1024
_PATH = re.compile(r"/ws/chat/([^/]+)/?")
_SESSION_ID = re.compile(r"[A-Za-z0-9._:-]+", re.ASCII)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class BadAddress(ValueError):
    """No session is at this address."""


@dataclass(frozen=True, slots=True)
class Address:
    """A session, where to go on in it, and how many finished messages a snapshot may hold."""

    session_id: str
    cursor: str | None
    history: int


def parse(target: str) -> Address:
    """Read a request's target, `/ws/chat/{session_id}/?cursor=…&history=…`.

    What else is in the query is for others: `shard` for a balancer, which must not be believed.

    Raises:
        BadAddress: another path, a session id that can't be one, or a query that is too long.
    """
    target_path, _, target_query = target.partition("?")
    path = _PATH.fullmatch(target_path)
    if path is None:
        raise BadAddress("the path is not /ws/chat/{session_id}/")
    session_id = session_id_in(path[1])
    if session_id is None:
        raise BadAddress(f"session_id is not 1 to {SESSION_ID_MAX_CHARS} of A-Za-z0-9._:-")
    query = _fields(target_query)
    cursor = query.get("cursor", [None])[0]
    if cursor is not None and len(cursor) > CURSOR_MAX_CHARS:
        cursor = ""  # none that can be gone on from: it is answered as one
    return Address(session_id, cursor, _count(query.get("history", ["0"])[0]))


def session_id_in(name: str) -> str | None:
    """Read the part of a path that names a session; None if it can't be one."""
    session_id = unquote(name, errors="replace")
    fits = len(session_id) <= SESSION_ID_MAX_CHARS and _SESSION_ID.fullmatch(session_id)
    return session_id if fits else None


def origin_allowed(
    origin: str | None, host: str | None, allowed: Collection[str], *, anywhere: bool = False
) -> bool:
    """Say whether a page of `origin` may connect; no origin is no browser, and may.

    Without an allow-list only a page of the gateway's own may: its origin is the host that it asks
    for. That host is a loopback name, unless the gateway may be `anywhere`. (A foreign name that
    was made to resolve to this machine would be origin and host alike.)
    """
    if origin is None:
        return True
    if len(origin) > ORIGIN_MAX_CHARS:
        return False
    origin = origin.lower()
    if allowed:
        return origin in allowed
    if not host or origin not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        return False
    return anywhere or host_name(host) in _LOOPBACK


def only(values: Sequence[str]) -> str | None:
    """Give a header's value, "" if it is there more than once: two origins are none."""
    return None if not values else values[0] if len(values) == 1 else ""


def _fields(query: str) -> dict[str, list[str]]:
    if len(query) > QUERY_MAX_CHARS:
        raise BadAddress(f"the query has more than {QUERY_MAX_CHARS} characters")
    try:
        return parse_qs(query, max_num_fields=QUERY_MAX_FIELDS)
    except ValueError:
        raise BadAddress(f"the query has more than {QUERY_MAX_FIELDS} fields") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        return 0
    # The length first: Python refuses to read a number of more than 4,300 digits.
    digits = text.lstrip("0") or "0"
    return min(int(digits), HISTORY_MAX) if len(digits) <= len(str(HISTORY_MAX)) else HISTORY_MAX
