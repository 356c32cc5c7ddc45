"""The rows of old messages in Postgres, taken out some at a time, over a connection of their own.

The writer's connection knows nothing of it. A batch is short, so whoever needs a row that it holds
waits a moment at most; and it waits for nobody longer than another moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from persister.timeouts import CONNECT_S
from schemas.session_limits import SessionLimits
from schemas.statements import json_of, statements

APPLICATION = "talklog-persister-retention"
LOCK = 0x7461_6C6B_6B65_65  # "talkkee"
MESSAGES_AT_ONCE = 500
CHUNKS_AT_ONCE = 5_000
LIMITS = {
    "statement_timeout": 10_000,
    "lock_timeout": 500,
    "idle_in_transaction_session_timeout": 10_000,
}
STATEMENTS = statements("persister", "retention.sql")


class Starts(NamedTuple):
    """The first offsets that the log holds of a shard: of user_messages, of the session log."""

    shard: int
    asked: int
    answered: int


@dataclass(frozen=True, slots=True)
class Old:
    """What may leave: said and ended before this moment, and before these places in the log.

    Of a shard whose start is not known only what is of an earlier epoch may.
    """

    before: datetime
    epoch: int
    starts: Sequence[Starts]


class Place(NamedTuple):
    """A message's place in the order of their times."""

    created_at: datetime
    session_id: str
    message_id: str


FIRST = Place(datetime.min.replace(tzinfo=UTC), "", "")


@dataclass(frozen=True, slots=True)
class Removed:
    """One batch: rows by table, and where to look next; None: nothing older is left to look at."""

    rows: Mapping[str, int]
    next: Place | None


class OldRows:
    """One connection, from `connected` to `close`; every method raises psycopg.Error or OSError."""

    def __init__(self, connection: AsyncConnection[DictRow], limits: SessionLimits) -> None:
        self._connection = connection
        self._limits = limits

    @classmethod
    async def connected(cls, dsn: str, *, pooled: bool) -> "OldRows":
        """Connect."""
        limits = SessionLimits(LIMITS, pooled)
        connection = await AsyncConnection.connect(
            dsn,
            autocommit=True,
            row_factory=dict_row,
            application_name=APPLICATION,
            connect_timeout=int(CONNECT_S),
            **limits.connection(),
        )
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        return cls(connection, limits)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def remove(self, old: Old, after: Place) -> Removed | None:
        """Take out what may leave of the next messages; None if another process is at it."""
        async with self._connection.transaction():
            if (begin := self._limits.transaction()) is not None:
                await self._connection.execute(begin)
            [turn] = await self._all("take_turn", {"lock": LOCK})
            if not turn["taken"]:
                return None
            found = await self._all("look", _asked(old, after))
            leaving = [row for row in found if row["leaves"]]
            rows = await self._take_out(leaving) if leaving else {}
        if not found or len(found) == found[0]["looked_at"] < MESSAGES_AT_ONCE:
            return Removed(rows, None)
        last = found[-1]
        return Removed(rows, Place(last["created_at"], last["session_id"], last["message_id"]))

    async def oldest_s(self) -> float | None:
        """Give the Unix time at which the oldest message that is kept was said, if there is one."""
        [row] = await self._all("oldest", {})
        oldest_s: float | None = row["oldest_s"]
        return oldest_s

    async def _take_out(self, leaving: Sequence[DictRow]) -> dict[str, int]:
        rows = json_of(
            [
                {
                    "session_id": row["session_id"],
                    "message_id": row["message_id"],
                    "first": row["first_chunk_sequence"],
                    "next": row["next_chunk_sequence"],
                    "epoch": row["epoch"],
                }
                for row in leaving
            ]
        )
        names = {
            "streaming_messages": "remove_chunks",
            "answers": "remove_answers",
            "user_messages": "remove_prompts",
        }
        removed = {table: await self._run(name, {"rows": rows}) for table, name in names.items()}
        await self._run("note_removed", {"rows": rows})
        return removed

    async def _all(self, name: str, values: Mapping[str, Any]) -> list[DictRow]:
        return await (await self._connection.execute(STATEMENTS[name], values)).fetchall()

    async def _run(self, name: str, values: Mapping[str, Any]) -> int:
        return (await self._connection.execute(STATEMENTS[name], values)).rowcount


def _asked(old: Old, after: Place) -> dict[str, Any]:
    return {
        "before": old.before,
        "epoch": old.epoch,
        "starts": json_of([start._asdict() for start in old.starts]),
        "after_at": after.created_at,
        "after_session": after.session_id,
        "after_message": after.message_id,
        "messages": MESSAGES_AT_ONCE,
        "chunks": CHUNKS_AT_ONCE,
    }
