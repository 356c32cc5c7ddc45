"""The wall clock, as events carry it."""

from datetime import UTC, datetime

from schemas.events import iso


def now_text() -> str:
    """Give the time as events carry it."""
    return iso(datetime.now(UTC))  # noqa: TID251 - the edge
