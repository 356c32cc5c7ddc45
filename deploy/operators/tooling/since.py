"""How far back: `90s`, `15m`, `2h`, `7d` before now, or a moment in ISO 8601."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_AGO = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class BadSince(ValueError):
    """Neither a duration nor a moment."""


def since_ms(text: str, now_ms: int) -> int:
    """Give the moment in milliseconds; one without a zone is in UTC. Raises BadSince."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadSince(f"since {text!r}: 90s, 15m, 2h, 7d, or 2026-01-31T12:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
