"""What Redis remembers of sessions and of a user. The workers forget a session there too."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from schemas import redis_keys
from schemas.process.redis_client import AWAY, reason
from schemas.transcript import Place
from workers.history.redis_history import History, HistoryUnavailable, connect


class MemoryUnavailable(Exception):
    """Redis did not do it, or did not say so."""


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the edge


async def forget_in_redis(
    url: str, places: Iterable[tuple[str, Place]], user: str | None = None
) -> int:
    """Remove the histories of sessions, and what limits a user. Gives how many keys there were.

    Raises:
        MemoryUnavailable: not all of it is sure to be gone.
    """
    client = connect(url)
    history = History(client, now=_now, budget_tokens=0)
    removed = 0
    try:
        for session_id, at in places:
            removed += await history.forget_session(session_id, at.epoch, at.offset)
        if user is not None:
            removed += await client.redis.delete(redis_keys.limits("user", user))
    except HistoryUnavailable as error:
        raise MemoryUnavailable(str(error)) from error
    except AWAY as error:
        raise MemoryUnavailable(reason(error)) from error
    finally:
        await client.aclose()
    return removed
