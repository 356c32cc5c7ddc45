"""Bring the database to the newest form: the plain SQL files in schemas/postgres, in order."""

from __future__ import annotations

import logging
from importlib.resources import as_file, files


class MigrateError(Exception):
    """The database could not be brought to the newest form."""


def migrate(dsn: str) -> list[str]:
    """Run what has not been run yet; the names of what was run. Safe to run by several at once.

    Raises:
        MigrateError: the database is away, or a migration failed (and was rolled back).
    """
    # Imported when needed: it costs a moment that the other commands need not spend.
    import psycopg
    from yoyo import get_backend, read_migrations
    from yoyo.exceptions import LockTimeout

    logging.getLogger("yoyo").setLevel(logging.ERROR)
    address = dsn.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        with as_file(files("schemas") / "postgres") as folder:
            backend = get_backend(address)
            try:
                migrations = read_migrations(str(folder))
                with backend.lock():
                    pending = backend.to_apply(migrations)
                    names = [migration.id for migration in pending]
                    backend.apply_migrations(pending)
            finally:
                backend.connection.close()
    except (psycopg.Error, LockTimeout) as error:
        raise MigrateError(f"PostgreSQL: {error}".strip()) from error
    return names
