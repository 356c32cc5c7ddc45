"""The persister's tables a second time, in a schema of their own, and the swap of the two.

The new tables are made by the same files as those in use, so they are the same in every
column, index and default. All of it happens on one connection, whose transaction is the swap; a
second one holds, for as long as it lasts, the lock that keeps other rebuilds out. Everything is
said to a transaction: behind a pooler a connection's server is lent to others between two of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from deploy.operators.tooling.schema_files import schema_files
from persister.batch import Partition
from schemas.session_limits import SessionLimits
from schemas.statements import statements

CONNECT_S = 10
# As behind a pooler, whether there is one or not: a command needs no setting to know.
LIMITS = SessionLimits({"lock_timeout": 60_000, "client_min_messages": "warning"}, pooled=True)
SHADOW, REPLACED = "talklog_rebuild", "talklog_replaced"
COMPARED = {
    "streaming_messages": "session_id || ' #' || chunk_sequence",
    "user_messages": "session_id || ' ' || message_id",
    "answers": "session_id || ' ' || message_id",
    "forgotten_sessions": "session_id",
}
HANDED_ON = ["log_gaps", "removed_rows"]
"""What no log says again."""
TABLES = [*COMPARED, "kafka_offsets", *HANDED_ON]
VIEW = "conversation"
OWN_NUMBERS = {"id"}
"""Columns that are no part of the fold."""

_QUERIES = statements("deploy.operators.rebuild", "rebuild.sql")
Positions = dict[Partition, int]


class ShadowFailed(Exception):
    """Postgres did not do it; nothing has changed but the new tables."""


class AlreadyRunning(Exception):
    """Another rebuild has the new tables."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows of a table that are only on one side, with some of their keys."""

    table: str
    side: str
    rows: int
    examples: list[str]


class ShadowTables:
    """One rebuild's connection; raises ShadowFailed wherever Postgres fails."""

    def __init__(self, dsn: str) -> None:
        """Connect, alone. Raises AlreadyRunning."""
        self.shadow = SHADOW
        self._turn = _connected(dsn, autocommit=False)
        try:
            _take_turn(self._turn)
            self._connection = _connected(dsn, autocommit=True)
        except (ShadowFailed, AlreadyRunning):
            self._turn.close()
            raise
        [row] = self._execute(sql.SQL("SELECT current_schema() AS name"))
        self._live = str(row["name"])

    def close(self) -> None:
        """Let the writers go on, and leave nothing behind."""
        try:
            if not self._connection.closed:
                self._connection.rollback()
                self._drop(SHADOW)
        except (psycopg.Error, ShadowFailed):
            return  # the next rebuild drops them
        finally:
            self._connection.close()
            self._turn.close()

    def rows_of_older_epochs(self, epoch: int) -> int:
        """Say how many rows are of an epoch before this one."""
        return int(self._rows("older_epochs", {"epoch": epoch})[0]["rows"])

    def make(self) -> None:
        """Make the new tables, empty."""
        self._drop(SHADOW)
        with self._transaction():
            self._execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SHADOW)))
            self._execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(SHADOW)))
            for file in schema_files():
                self._execute(file.statements)

    def hold_writers(self) -> None:
        """Begin the transaction of the swap: from now on the tables in use stay as they are."""
        _said(self._turn, "SELECT 1")  # a turn whose connection was lost is nobody's
        self._execute(sql.SQL("BEGIN"))
        self._execute(sql.SQL(LIMITS.beginning))
        self._rows("hold_writers")

    def positions(self) -> Positions:
        """Say how far the tables in use are."""
        return {
            Partition(row["topic"], row["shard"]): row["next_offset"]
            for row in self._rows("positions")
        }

    def differences(self) -> list[Difference]:
        """Compare all rows."""
        found = []
        for table, key in COMPARED.items():
            names = {
                "table": sql.Identifier(table),
                "key": sql.SQL(key),
                "columns": sql.SQL(", ").join(map(sql.Identifier, self._columns(table))),
            }
            for row in self._rows("differences", names=names):
                found.append(Difference(table, row["side"], row["rows"], row["examples"]))
        return found

    def foreign_objects(self) -> list[str]:
        """Name what others have hung on the tables in use; the swap drops it."""
        named = {"names": [*TABLES, VIEW]}
        return [row["what"] for row in self._rows("foreign_objects", named, self._schemas())]

    def _schemas(self) -> dict[str, sql.Composable]:
        return {"live_name": sql.Literal(self._live), "shadow_name": sql.Literal(SHADOW)}

    def swap(self) -> None:
        """Use the new tables; ends the transaction that `hold_writers` began."""
        live, shadow, replaced = map(sql.Identifier, (self._live, SHADOW, REPLACED))
        named = {"names": [*TABLES, VIEW]}
        for row in self._rows("grants", named, self._schemas()):
            self._execute(str(row["statement"]).encode())
        for table in map(sql.Identifier, HANDED_ON):
            copy = sql.SQL("INSERT INTO {}.{} SELECT * FROM {}.{}")
            self._execute(copy.format(shadow, table, live, table))
        self._execute(sql.SQL("CREATE SCHEMA {}").format(replaced))
        for source, target in ((live, replaced), (shadow, live)):
            for kind, name in [*(("TABLE", table) for table in TABLES), ("VIEW", VIEW)]:
                move = sql.SQL("ALTER {} {}.{} SET SCHEMA {}")
                named_move = move.format(sql.SQL(kind), source, sql.Identifier(name), target)
                self._execute(named_move)
        for schema in (replaced, shadow):
            self._execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))
        self._execute(sql.SQL("COMMIT"))

    def _columns(self, table: str) -> list[str]:
        rows = self._execute(
            sql.SQL(
                "SELECT column_name FROM information_schema.columns "
                "WHERE table_schema = {} AND table_name = {} ORDER BY ordinal_position"
            ).format(sql.Literal(SHADOW), sql.Literal(table))
        )
        return [row["column_name"] for row in rows if row["column_name"] not in OWN_NUMBERS]

    def _drop(self, schema: str) -> None:
        drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
        with self._transaction():
            self._execute(drop.format(sql.Identifier(schema)))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run the block in a transaction with the limits.

        PostgreSQL would send a notice about every table that a schema is dropped with.
        """
        try:
            with self._connection.transaction():
                self._execute(sql.SQL(LIMITS.beginning))
                yield
        except psycopg.Error as error:
            raise ShadowFailed(f"Postgres: {error}".strip()) from error

    def _rows(
        self,
        name: str,
        values: dict[str, Any] | None = None,
        names: Mapping[str, sql.Composable] | None = None,
    ) -> list[dict[str, Any]]:
        live, shadow = sql.Identifier(self._live), sql.Identifier(SHADOW)
        query = sql.SQL(_QUERIES[name]).format(live=live, shadow=shadow, **(names or {}))
        return self._execute(query, values)

    def _execute(
        self, query: sql.Composable | bytes, values: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        try:
            cursor = self._connection.execute(query, values)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise ShadowFailed(f"Postgres: {error}".strip()) from error


def _connected(dsn: str, *, autocommit: bool) -> psycopg.Connection[dict[str, Any]]:
    try:
        return psycopg.connect(
            dsn,
            connect_timeout=CONNECT_S,
            autocommit=autocommit,
            application_name="talklog-rebuild",
            row_factory=dict_row,
            **LIMITS.connection(),
        )
    except psycopg.Error as error:
        raise ShadowFailed(f"Postgres: {error}".strip()) from error


def _take_turn(connection: psycopg.Connection[dict[str, Any]]) -> None:
    """Take the lock for as long as this transaction lasts, however long it does nothing.

    Between its statements it holds no snapshot, so Postgres goes on cleaning up.
    """
    _said(connection, "SET LOCAL idle_in_transaction_session_timeout = 0")
    [row] = _said(connection, _QUERIES["only_one"]).fetchall()
    if not row["held"]:
        raise AlreadyRunning("a rebuild of this database runs already")


def _said(
    connection: psycopg.Connection[dict[str, Any]], query: LiteralString
) -> psycopg.Cursor[dict[str, Any]]:
    try:
        return connection.execute(query)
    except psycopg.Error as error:
        raise ShadowFailed(f"Postgres: {error}".strip()) from error
