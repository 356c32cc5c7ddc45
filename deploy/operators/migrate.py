"""Bring the database to the newest form: the plain SQL files in schemas/postgres, in order.

Several may do so at once: the first one works, the others wait for it. What they wait for is a
lock that PostgreSQL lets go of when its connection ends; the migration tool's own lock is a row,
which would stay for ever when a start is killed in the middle.
"""

from __future__ import annotations

import logging
from importlib.resources import as_file, files
from urllib.parse import urlsplit, urlunsplit

LOCK = 0x7461_6C6B_6C6F_67  # "talklog"
LOCK_WAIT_S = 60
CONNECT_S = 10


class MigrateError(Exception):
    """The database could not be brought to the newest form."""


def migrate(dsn: str) -> list[str]:
    """Run what has not been run yet; the names of what was run.

    Raises:
        MigrateError: the database is away, or a migration failed (and was rolled back).
    """
    # Imported when needed: it costs a moment that the other commands need not spend.
    import psycopg
    from yoyo.exceptions import BadMigration

    logging.getLogger("yoyo").setLevel(logging.ERROR)
    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_S, autocommit=True) as holder:
            holder.execute(f"SET lock_timeout = '{LOCK_WAIT_S}s'")
            holder.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
            return _apply(dsn)
    except (psycopg.Error, BadMigration) as error:
        raise MigrateError(f"PostgreSQL: {error}".strip()) from error


def _apply(dsn: str) -> list[str]:
    from yoyo import get_backend, read_migrations

    with as_file(files("schemas") / "postgres") as folder:
        backend = get_backend(yoyo_address(dsn))
        try:
            pending = backend.to_apply(read_migrations(str(folder)))
            names = [migration.id for migration in pending]
            backend.apply_migrations(pending)
        finally:
            backend.connection.close()
    return names


def yoyo_address(dsn: str) -> str:
    """The same database in the spelling that makes yoyo use psycopg 3."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(scheme="postgresql+psycopg"))
