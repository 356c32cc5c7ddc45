"""When to connect again after a socket has closed. Pure.

Delays are drawn from the whole range up to the limit ("full jitter"), so that ten thousand clients
of a gateway that died do not come back in the same instant. `gateway/page/reconnect.js` does the
same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from schemas.close_codes import RECONNECT, CloseCode

LOST = 1006
HTTP_TOO_MANY = 429
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
HELD_MAX_S = 60.0
HELD_SPREAD = 0.5
_RETRY_AFTER = re.compile(r"retry_after_ms\D{0,4}(\d{1,9})", re.ASCII)


def delay_s(code: int, reason: str, failures: int, random: float) -> float | None:
    """Seconds until the next connection, None if there must be none.

    `code` is what the socket was closed with (1006: the network), `failures` the connections in a
    row that came to nothing, `random` in [0, 1).
    """
    known = code in set(CloseCode)
    if known and code not in RECONNECT:
        return None
    # A terminal has no second token to offer.
    if code == CloseCode.UNAUTHENTICATED:
        return None
    waited = random * min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures, 16))
    if code == CloseCode.TOO_MANY and (named := _RETRY_AFTER.search(reason)):
        waited += int(named[1]) / 1000
    return waited


def held_s(frame: Mapping[str, Any], random: float) -> float:
    """Seconds for which no message is to be sent after this frame; `gateway/page/hold.js` too.

    Who must wait longer than HELD_MAX_S is told so each time instead.
    """
    wait_ms = frame.get("retry_after_ms") or 0
    about_message = frame.get("type") == "error" and "cursor" not in frame
    if not (about_message and frame.get("message_id") and 0 < wait_ms <= HELD_MAX_S * 1000):
        return 0.0
    return float(wait_ms) / 1000 * (1 + HELD_SPREAD * random)


def refused(status: int, headers: Mapping[str, str]) -> tuple[int, str]:
    """Give what the status of a handshake means as a close would: its code and reason."""
    later = headers.get("Retry-After", "")
    if status != HTTP_TOO_MANY:
        return LOST, f"(HTTP {status})"
    wait_ms = 1000 * int(later) if later.isascii() and later.isdigit() and len(later) < 7 else 0
    return CloseCode.TOO_MANY, json.dumps({"retry_after_ms": wait_ms})


def why(code: int, reason: str) -> str:
    """A close code in words."""
    words = {
        CloseCode.NORMAL: "closed by the gateway",
        CloseCode.FRAME_TOO_BIG: "the message is too big",
        CloseCode.UNAUTHENTICATED: "the token is missing, bad or expired",
        CloseCode.FORBIDDEN: "this session is not allowed",
        CloseCode.BAD_SESSION: "not a session id",
        CloseCode.PROTOCOL_ERROR: "the gateway did not understand this client",
        CloseCode.SERVICE_RESTART: "the gateway restarts",
        CloseCode.SLOW_CLIENT: "this client was too slow",
        CloseCode.TOO_MANY: "too many connections or messages",
        CloseCode.IDLE: "idle",
    }
    named = words.get(CloseCode(code)) if code in set(CloseCode) else None
    more = f" ({reason})" if reason and named else reason
    return (named or "connection lost") + (more if named else f" {more}".rstrip())
