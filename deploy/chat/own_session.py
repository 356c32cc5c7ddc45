"""The id of a new session that a token allows. Pure; `gateway/page/token.js` does the same.

What a token says is read here and not checked: that is the gateway's.
"""

from __future__ import annotations

import base64
import json
from typing import Any


def session_for(token: str, new_id: str) -> str:
    """Give an id that the first pattern of the token names; without a token `chat-…`."""
    claims = _claims(token)
    found = claims.get("sessions")
    patterns = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    if not patterns:
        return f"chat-{new_id}"
    pattern = next((each for each in patterns if "*" in each), patterns[0])
    first, *others = (part.replace("{sub}", str(claims.get("sub"))) for part in pattern.split("*"))
    return f"{first}{new_id}{''.join(others)}" if others else first


def _claims(token: str) -> dict[str, Any]:
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
