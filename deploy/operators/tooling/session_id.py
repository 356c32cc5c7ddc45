"""Whether what a person typed can be a session's id: said before anything is connected to. Pure."""

from __future__ import annotations

import msgspec

from schemas.events import SessionId
from schemas.limits import SESSION_ID_MAX_CHARS


def session_problem(session_id: str) -> str | None:
    """Say why no session can have this id, or None."""
    try:
        msgspec.convert(session_id, SessionId)
    except msgspec.ValidationError:
        allowed = f"1 to {SESSION_ID_MAX_CHARS} of A-Za-z0-9._:-"
        return f"--session {session_id!r} can't be a session's id: {allowed}"
    return None
