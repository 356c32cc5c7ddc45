"""What Postgres has of sessions that are to be forgotten, and whether they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from schemas.session_limits import SessionLimits
from schemas.statements import statements
from schemas.topics import SESSION_LOG
from schemas.transcript import Place

CONNECT_S = 10
# As behind a pooler, whether there is one or not: a command needs no setting to know.
LIMITS = SessionLimits({"statement_timeout": 60_000}, pooled=True)
_QUERIES = statements("deploy.operators.forget", "forget.sql")


class RowsUnavailable(Exception):
    """Postgres did not answer."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A session in which somebody has spoken; `shared`: others have too."""

    session_id: str
    own: int
    messages: int
    shared: bool


class Rows:
    """Asks with a connection of its own each time; every method may raise RowsUnavailable."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def counts(self, session_id: str) -> tuple[int, int]:
        """Give how many messages and how many chunks there are of a session."""
        [row] = self._ask("counts", {"session": session_id})
        return row["messages"], row["chunks"]

    def forgotten(self, sessions: Collection[str]) -> dict[str, Place]:
        """Give the place of the last event by which each session was forgotten, if one was."""
        rows = self._ask("forgotten", {"sessions": list(sessions)})
        return {row["session_id"]: Place(row["epoch"], row["log_offset"]) for row in rows}

    def positions(self, epoch: int) -> dict[int, int]:
        """Give how far each shard of the session log is stored."""
        rows = self._ask("behind", {"topic": SESSION_LOG, "epoch": epoch})
        return {row["shard"]: row["next_offset"] for row in rows}

    def sessions_of(self, user: str) -> list[Spoken]:
        """Give the sessions in which a user has spoken."""
        return [Spoken(**row) for row in self._ask("sessions_of", {"user": user})]

    def _ask(self, name: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        try:
            with psycopg.connect(
                self._dsn,
                connect_timeout=CONNECT_S,
                row_factory=dict_row,
                application_name="talklog-forget",
                **LIMITS.connection(),
            ) as connection:
                connection.execute(LIMITS.beginning)
                return connection.execute(_QUERIES[name], values).fetchall()
        except psycopg.Error as error:
            raise RowsUnavailable(f"Postgres: {error}".strip()) from error
