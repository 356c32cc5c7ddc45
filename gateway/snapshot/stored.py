"""What Postgres holds of a session, and how far in the log that is: read in one moment."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, Error
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from schemas.conversation import forgotten_of, message_of
from schemas.limits import ENDED_MAX_IDS, SNAPSHOT_MAX_BYTES
from schemas.session_limits import SessionLimits
from schemas.statements import statements
from schemas.topics import SESSION_LOG
from schemas.transcript import Forgotten, Message, Place

POOL_MAX = 4
WAIT_LIMIT_S = 2.0
CONNECTION: dict[str, Any] = {
    "connect_timeout": 2,
    "tcp_user_timeout": 5000,
    "application_name": "talklog-gateway",
}
LIMITS: Mapping[str, int | str] = {"statement_timeout": 5000, "default_transaction_read_only": "on"}
STATEMENTS = statements("gateway.snapshot", "queries.sql")
_NO_JOIN: dict[str, object] = {
    "joins": False,
    "before": "",
    "after_all": 2**62,
    "bytes": SNAPSHOT_MAX_BYTES,
    "ids": ENDED_MAX_IDS,
    "log_start": 0,
    "joined_epoch": 0,
    "joined_offset": 0,
}
"""What a session is asked with; a join says more. No epoch comes after `after_all`."""


class StoreUnavailable(Exception):
    """Postgres did not answer in time: the snapshot comes later."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The fold of a session up to a position in the log: its open messages, and its newest.

    `next_offset` is None if nothing of this epoch's log is stored. `named_in_epoch` is the epoch of
    the last record that names each message. `ended` are the newest finished messages of which the
    log still holds the last event, the oldest first; `more` says that there are older ones than
    those in `messages`.
    """

    next_offset: int | None
    messages: Sequence[Message]
    named_in_epoch: Mapping[str, int]
    ended: Sequence[str] = ()
    more: bool = False
    forgotten: Forgotten | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a session is read: `history` finished messages, and all that ended since `joined`."""

    session_id: str
    shard: int
    joined: Place
    history: int
    log_start: int


@dataclass(frozen=True, slots=True)
class Page:
    """Finished messages in the session's order, with their text; `more`: there are older ones.

    `next_offset`: as of `Stored`.
    """

    messages: Sequence[Message]
    more: bool
    next_offset: int | None


class Store:
    """Reads sessions; open between `open` and `close`."""

    def __init__(self, dsn: str, epoch: int, *, pooled: bool = False) -> None:
        self._epoch = epoch
        self._dsn = dsn
        limits = SessionLimits(LIMITS, pooled)
        self._begin = limits.transaction()
        self._connection = CONNECTION | limits.connection()
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            dsn,
            min_size=0,
            max_size=POOL_MAX,
            open=False,
            timeout=WAIT_LIMIT_S,
            max_idle=60.0,
            reconnect_timeout=2.0,
            kwargs=self._connection | {"row_factory": dict_row, "autocommit": True},
        )

    async def open(self) -> None:
        """Make the pool; a Postgres that is away is told at the first read."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close(timeout=WAIT_LIMIT_S)

    async def answers(self) -> bool:
        """Say whether Postgres takes a connection, one beside the pool's."""
        try:
            connection = await asyncio.wait_for(
                AsyncConnection.connect(self._dsn, autocommit=True, **self._connection),
                WAIT_LIMIT_S,
            )
            async with connection:
                # A pooler takes a connection, whether there is a Postgres behind it or not.
                await asyncio.wait_for(connection.execute("SELECT 1"), WAIT_LIMIT_S)
        except (Error, TimeoutError, OSError):
            return False
        return True

    async def read(self, wanted: Wanted) -> Stored:
        """Read the session. Raises StoreUnavailable: Postgres is away, or slow."""
        [about] = await self._asked("about", **self._of(wanted.session_id, wanted.shard))
        if not about["has_messages"]:
            return Stored(about["next_offset"], [], {}, forgotten=forgotten_of(about))
        rows = await self._session(
            wanted.session_id,
            wanted.shard,
            joins=True,
            messages=wanted.history,
            log_start=wanted.log_start,
            joined_epoch=wanted.joined.epoch,
            joined_offset=wanted.joined.offset,
        )
        return Stored(
            next_offset=rows[0]["next_offset"],
            messages=_messages(rows),
            named_in_epoch={
                row["message_id"]: row["named_in_epoch"] for row in rows if row["message_id"]
            },
            ended=rows[0]["ended"],
            more=rows[0]["more"],
            forgotten=forgotten_of(rows[0]),
        )

    async def earlier(self, session_id: str, shard: int, before: str | None, limit: int) -> Page:
        """Read finished messages that began before another one, or the newest if it is not stored.

        As many as asked for, or as fit into a snapshot. Raises StoreUnavailable.
        """
        rows = await self._session(session_id, shard, messages=limit, before=before or "")
        return Page(_messages(rows), rows[0]["more"], rows[0]["next_offset"])

    async def ended_before(
        self, session_id: str, message_ids: Collection[str], offset: int
    ) -> set[str]:
        """Say which of the messages had ended before that offset. Raises StoreUnavailable."""
        rows = await self._asked(
            "ended_before",
            session_id=session_id,
            message_ids=list(message_ids),
            epoch=self._epoch,
            offset=offset,
        )
        return {row["message_id"] for row in rows}

    async def _session(self, session_id: str, shard: int, **values: object) -> list[DictRow]:
        """Ask for a session; gives one row at least."""
        return await self._asked("session", **_NO_JOIN | self._of(session_id, shard) | values)

    def _of(self, session_id: str, shard: int) -> dict[str, object]:
        return {
            "topic": SESSION_LOG,
            "shard": shard,
            "epoch": self._epoch,
            "session_id": session_id,
        }

    async def _asked(self, statement: str, **values: object) -> list[DictRow]:
        """Ask one of the STATEMENTS, by its name. Raises StoreUnavailable."""
        try:
            async with self._pool.connection() as connection:
                if self._begin is None:
                    return await _rows(connection, statement, values)
                async with connection.transaction():
                    await connection.execute(self._begin)
                    return await _rows(connection, statement, values)
        except (Error, PoolTimeout, OSError) as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


async def _rows(
    connection: AsyncConnection[DictRow], statement: str, values: Mapping[str, object]
) -> list[DictRow]:
    return await (await connection.execute(STATEMENTS[statement], values)).fetchall()


def _messages(rows: Sequence[DictRow]) -> list[Message]:
    return [message for row in rows if (message := message_of(row)) is not None]
