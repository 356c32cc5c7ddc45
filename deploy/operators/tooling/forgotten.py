"""Which sessions were forgotten, as the tables have it."""

from __future__ import annotations

from collections.abc import Collection

import psycopg

CONNECT_S = 10


class Unknown(Exception):
    """Postgres did not say it."""


def said_before(dsn: str, sessions: Collection[str], epoch: int | None) -> dict[str, int]:
    """Give the offset in user_messages before which all of each session is forgotten.

    Only of sessions that were, in the log of this epoch (None: whichever it was).

    Raises:
        Unknown: Postgres is away, or has no such table yet.
    """
    query = (
        "SELECT session_id, said_before FROM forgotten_sessions "
        "WHERE session_id = ANY (%(sessions)s) "
        "AND (%(epoch)s::bigint IS NULL OR said_epoch = %(epoch)s)"
    )
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_S, autocommit=True) as connection:
            found = connection.execute(query, {"sessions": list(sessions), "epoch": epoch})
            return dict(found.fetchall())
    except psycopg.Error as error:
        raise Unknown(f"Postgres: {error}".strip()) from error
