"""Reads the rows of Postgres, some sessions at a time, each time in a snapshot of its own.

A snapshot that is held for hours keeps Postgres from cleaning up whatever has changed since. So one
is begun where positions are asked for, and what is read until `let_go` is as of those positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row, tuple_row

from deploy.operators.verify.row_check import Stored, gather
from persister.batch import Partition
from schemas.session_limits import SessionLimits
from schemas.statements import statements

CONNECT_S = 10
# As behind a pooler, whether there is one or not: a command needs no setting to know.
LIMITS = SessionLimits({"statement_timeout": 600_000}, pooled=True)
FETCH_ROWS = 5000

_QUERIES = statements("deploy.operators.verify", "rows.sql")


class RowsUnavailable(Exception):
    """Postgres could not be read."""


class StoredRows:
    """One connection, not for two threads at once; every method may raise RowsUnavailable."""

    def __init__(self, dsn: str) -> None:
        with _translated():
            self._connection = psycopg.connect(
                dsn,
                connect_timeout=CONNECT_S,
                application_name="talklog-verify",
                **LIMITS.connection(),
            )
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def let_go(self) -> None:
        """End the snapshot."""
        with _translated():
            self._connection.rollback()

    def positions(self) -> dict[Partition, tuple[int, int]]:
        """Give epoch and next offset of every partition; a new snapshot begins here."""
        self.let_go()
        return {
            Partition(row["topic"], row["shard"]): (row["epoch"], row["next_offset"])
            for row in self._rows("positions")
        }

    def gaps(self) -> list[dict[str, Any]]:
        """Give what the log lost before it was stored."""
        return self._rows("gaps")

    def removed_before(self, epoch: int) -> bool:
        """Say whether messages of earlier epochs have left, because they were old."""
        return bool(self._rows("removed", {"epoch": epoch})[0]["messages"])

    def of(self, sessions: Sequence[str]) -> Stored:
        """Give all that is stored of these sessions."""
        asked = {"sessions": list(sessions)}
        with _translated():
            # A session may be long: its chunks are not all in memory at once.
            self._begin()
            cursor = self._connection.cursor("chunks", row_factory=tuple_row)
            cursor.itersize = FETCH_ROWS
            with cursor:
                chunks = gather(cursor.execute(_QUERIES["chunks"], asked))
        return Stored(
            answers={_key(row): row for row in self._rows("answers", asked)},
            prompts={_key(row): row for row in self._rows("prompts", asked)},
            chunks=chunks,
        )

    def answer_offsets(
        self, shard: int, epoch: int, start: int, end: int
    ) -> list[tuple[str, str, int]]:
        """Give last offsets of the answers of a shard whose events lie in [start, end)."""
        return self._offsets("answer_offsets", shard, epoch, start, end)

    def prompt_offsets(
        self, shard: int, epoch: int, start: int, end: int
    ) -> list[tuple[str, str, int]]:
        """Give the messages of a shard whose record lies in [start, end)."""
        return self._offsets("prompt_offsets", shard, epoch, start, end)

    def stray_chunks(self) -> list[dict[str, Any]]:
        """Give messages that have chunks which belong to no attempt that counts."""
        return self._rows("stray_chunks")

    def _offsets(
        self, name: str, shard: int, epoch: int, start: int, end: int
    ) -> list[tuple[str, str, int]]:
        values = {"shard": shard, "epoch": epoch, "start": start, "end": end}
        with _translated(), self._connection.cursor(row_factory=tuple_row) as cursor:
            self._begin()
            return cursor.execute(_QUERIES[name], values).fetchall()

    def _rows(self, name: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with _translated(), self._connection.cursor(row_factory=dict_row) as cursor:
            self._begin()
            return cursor.execute(_QUERIES[name], values).fetchall()

    def _begin(self) -> None:
        """Begin a transaction with its limit, unless one is under way."""
        if self._connection.info.transaction_status is TransactionStatus.IDLE:
            self._connection.execute(LIMITS.beginning)


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["session_id"], row["message_id"]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise RowsUnavailable(f"Postgres: {error}".strip()) from error
