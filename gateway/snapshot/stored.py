"""What Postgres holds of a session, and how far in the log that is: read in one moment."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, AsyncCursor, Error, IsolationLevel
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from schemas.conversation import message_of, prompt_of
from schemas.statements import statements
from schemas.topics import SESSION_LOG
from schemas.transcript import Message

POOL_MAX = 4
WAIT_LIMIT_S = 2.0
CONNECTION: dict[str, Any] = {
    "connect_timeout": 2,
    "tcp_user_timeout": 5000,
    "application_name": "talklog-gateway",
    "options": "-c statement_timeout=5000",
}
STATEMENTS = statements("gateway.snapshot", "queries.sql")


class StoreUnavailable(Exception):
    """Postgres did not answer in time: the snapshot comes later."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The fold of a session up to a position in the log.

    `next_offset` is None if nothing of this epoch's log is stored. `named_in_epoch` is the epoch of
    the last record that names each message.
    """

    next_offset: int | None
    messages: Sequence[Message]
    named_in_epoch: dict[str, int]


class Store:
    """Reads sessions; open between `open` and `close`."""

    def __init__(self, dsn: str, epoch: int) -> None:
        self._epoch = epoch
        self._dsn = dsn
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            dsn,
            min_size=0,
            max_size=POOL_MAX,
            open=False,
            timeout=WAIT_LIMIT_S,
            max_idle=60.0,
            reconnect_timeout=2.0,
            kwargs=CONNECTION | {"row_factory": dict_row},
            configure=_configure,
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
                AsyncConnection.connect(self._dsn, autocommit=True, **CONNECTION), WAIT_LIMIT_S
            )
        except (Error, TimeoutError, OSError):
            return False
        await connection.close()
        return True

    async def read(
        self, session_id: str, shard: int, shown: Callable[[Sequence[Message]], Collection[str]]
    ) -> Stored:
        """Read the session; `shown` says of which messages the text is needed.

        Raises:
            StoreUnavailable: Postgres is away, or slow.
        """
        try:
            async with self._pool.connection() as connection, connection.cursor() as cursor:
                return await self._read(cursor, session_id, shard, shown)
        except (Error, PoolTimeout, OSError) as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    async def _read(
        self,
        cursor: AsyncCursor[DictRow],
        session_id: str,
        shard: int,
        shown: Callable[[Sequence[Message]], Collection[str]],
    ) -> Stored:
        position = {"topic": SESSION_LOG, "shard": shard}
        await cursor.execute(STATEMENTS["stored_position"], position)
        stored = await cursor.fetchone()
        await cursor.execute(STATEMENTS["states"], {"session_id": session_id})
        rows = await cursor.fetchall()
        messages = [message for row in rows if (message := message_of(row)) is not None]
        message_ids = list(shown(messages))
        if message_ids:
            wanted = {"session_id": session_id, "message_ids": message_ids}
            await cursor.execute(STATEMENTS["texts"], wanted)
            _put_texts(messages, await cursor.fetchall())
        current = stored is not None and stored["epoch"] == self._epoch
        return Stored(
            next_offset=stored["next_offset"] if stored is not None and current else None,
            messages=messages,
            named_in_epoch={row["message_id"]: row["named_in_epoch"] or 0 for row in rows},
        )


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)


def _put_texts(messages: Sequence[Message], rows: Sequence[dict[str, Any]]) -> None:
    texts = {row["message_id"]: row for row in rows}
    for message in messages:
        row = texts.get(message.message_id)
        if row is not None:
            message.prompt = prompt_of(row)
            message.pieces = [row["content"]] if row["content"] else []
