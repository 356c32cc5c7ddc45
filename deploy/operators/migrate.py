"""Bring the database to the newest form: the plain SQL files in schemas/postgres, in order.

Alembic runs them, each in a transaction of its own, and keeps the number of the last one in its
table `alembic_version`. It is given the files as its revisions, so there is no Python to write for
a change of the tables: the next file is `0007.its_name.sql`.

Several may migrate at once: the first one works, the others wait for it. What they wait for is a
lock that PostgreSQL lets go of when its transaction ends, also when a start is killed in the middle
or a pooler lends the connection to somebody else.

Databases from before Alembic were migrated by yoyo, and have its table of what was run. It is read
once and left where it is, so that an older version that is started again still finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, cast

from deploy.operators.tooling.schema_files import SchemaFile, schema_files

if TYPE_CHECKING:
    import psycopg
    from alembic.runtime.migration import MigrationContext, MigrationStep
    from alembic.script.base import Script
    from sqlalchemy import Connection

LOCK = 0x7461_6C6B_6C6F_67  # "talklog"
LOCK_WAIT_S = 60
CONNECT_S = 10
YOYO_TABLE = "_yoyo_migration"


class MigrationFailed(Exception):
    """The database could not be brought to the newest form."""


def migrate(dsn: str, files: Sequence[SchemaFile] | None = None) -> list[str]:
    """Run what has not been run yet; the names of what was run.

    Raises:
        MigrationFailed: the database is away, or a file failed. It was rolled back then, and those
            before it stay.
    """
    # Imported when needed: it costs a moment that the other commands need not spend.
    import psycopg
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with psycopg.connect(dsn, connect_timeout=CONNECT_S, prepare_threshold=None) as holder:
            holder.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'")
            holder.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            holder.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            return _Run(dsn, files or schema_files(), _run_by_yoyo(holder)).run()
    except (psycopg.Error, SQLAlchemyError) as error:
        raise MigrationFailed(f"PostgreSQL: {error}".strip()) from error


class _Run:
    """One migration; the lock is held."""

    def __init__(self, dsn: str, files: Sequence[SchemaFile], by_yoyo: frozenset[str]) -> None:
        self._dsn = dsn
        self._files = files
        self._by_yoyo = by_yoyo
        self._names: list[str] = []

    def run(self) -> list[str]:
        import psycopg
        from alembic.runtime.migration import MigrationContext
        from sqlalchemy import NullPool, create_engine

        engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(
                self._dsn, connect_timeout=CONNECT_S, prepare_threshold=None
            ),
            poolclass=NullPool,
        )
        with engine.connect() as connection:
            options = {"transaction_per_migration": True, "fn": self._steps}
            MigrationContext.configure(connection, opts=options).run_migrations()
        return self._names

    def _steps(self, heads: tuple[str, ...], context: MigrationContext) -> Iterator[MigrationStep]:
        """Give what is to be done to a database that stands at `heads` (none: nothing is known)."""
        from alembic.runtime.migration import RevisionStep, StampStep
        from alembic.script.revision import RevisionMap

        assert context.connection is not None  # noqa: S101 - it was configured with one
        connection = context.connection
        revisions = RevisionMap(lambda: _scripts(self._files, connection, self._names.append))
        stands_at = heads[0] if heads else ""
        if not heads and self._by_yoyo:
            stands_at = self._adopted()
            yield StampStep(
                (), stands_at, is_upgrade=True, branch_move=True, revision_map=revisions
            )
        for file in self._files:
            # A database that stands further than this version knows is left as it is.
            if file.number > stands_at:
                script = cast("Script", revisions.get_revision(file.number))
                yield RevisionStep(revisions, script, is_upgrade=True)

    def _adopted(self) -> str:
        """Give the number of the last file that yoyo has run. Raises MigrationFailed."""
        done = [file for file in self._files if file.name in self._by_yoyo]
        if not done or done != list(self._files[: len(done)]):
            known = ", ".join(sorted(self._by_yoyo))
            raise MigrationFailed(f"the tables are of no version: {YOYO_TABLE} names {known}")
        return done[-1].number


def _scripts(
    files: Sequence[SchemaFile], connection: Connection, on_run: Callable[[str], None]
) -> Iterator[Script]:
    """Give the files as Alembic's revisions, each after the one before it."""
    from alembic.script.base import Script

    before: str | None = None
    for file in files:
        module = ModuleType(file.name)
        module.down_revision = before  # type: ignore[attr-defined]
        module.upgrade = _upgrade(file, connection, on_run)  # type: ignore[attr-defined]
        yield Script(module, file.number, file.name)
        before = file.number


def _upgrade(
    file: SchemaFile, connection: Connection, on_run: Callable[[str], None]
) -> Callable[[], None]:
    def upgrade() -> None:
        import psycopg

        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)  # noqa: S101 - that is what was connected
        try:
            # As it is: several statements, and no placeholders.
            driver.execute(file.statements)
        except psycopg.Error as error:
            raise MigrationFailed(f"PostgreSQL: {file.name}: {error}".strip()) from error
        on_run(file.name)

    return upgrade


def _run_by_yoyo(connection: psycopg.Connection) -> frozenset[str]:
    """Give the names of what yoyo has run, none where it never did."""
    found = connection.execute("SELECT to_regclass(%s)", (YOYO_TABLE,)).fetchone()
    if found is None or found[0] is None:
        return frozenset()
    rows = connection.execute("SELECT migration_id FROM _yoyo_migration").fetchall()
    return frozenset(str(row[0]) for row in rows)
