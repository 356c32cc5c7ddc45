"""A conversation as Postgres has it: where a fold of a session begins when Redis has lost it.

What is read is the fold's own state of each message and the offset up to which the log is in it.
Whoever goes on folding the log from there has the whole conversation. Postgres may be away or
stand still: after its limit a read gives None, and the caller makes do with what it has.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from schemas.conversation import forgotten_of, message_of
from schemas.session_limits import SessionLimits
from schemas.statements import statements
from schemas.topics import SESSION_LOG
from schemas.transcript import Message, Place, Transcript
from workers.history import known_messages
from workers.history.prompt import estimate_tokens

READ_LIMIT_S = 2.0
CONNECTIONS_MAX = 4
MESSAGES_MAX = 5_000
T = TypeVar("T")


_QUERIES = statements("workers.history", "queries.sql")


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """The fold of the session log up to `next_offset` (None: nothing of this epoch is in it).

    Ended messages beyond the budget of a prompt are there without their text.
    """

    transcript: Transcript
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class StoredState:
    """Whether a message has ended, as far as the session log is stored (`next_offset`).

    `message_ids` are those of its session, or one more of them than anybody needs to know.
    """

    ended: bool
    next_offset: int | None
    message_ids: Sequence[str]


class _Broken(psycopg.OperationalError):
    """The connection was none any more: another may be."""


class StoredConversations:
    """Reads conversations. Open it, and close it at the end."""

    def __init__(
        self,
        dsn: str,
        *,
        budget_tokens: int,
        read_limit_s: float = READ_LIMIT_S,
        pooled: bool = False,
    ) -> None:
        self._read_limit_s = read_limit_s
        limits = SessionLimits({"statement_timeout": round(read_limit_s * 1000)}, pooled)
        self._begin = limits.transaction()
        # Each message has two turns of at least one token: more can't be in any prompt.
        self._texts = budget_tokens // (2 * estimate_tokens("a")) + 1
        self._reads: set[asyncio.Task[Any]] = set()
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[dict[str, Any]]]
        self._pool = AsyncConnectionPool(
            dsn,
            # None is kept ready: connecting is tried when it is needed, and only then.
            min_size=0,
            max_size=CONNECTIONS_MAX,
            timeout=read_limit_s,
            open=False,
            kwargs=limits.connection()
            | {
                "autocommit": True,
                "row_factory": dict_row,
                "connect_timeout": max(2, round(read_limit_s)),
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
            },
        )

    async def open(self) -> None:
        """Make it ready. Postgres need not be there."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """End it; reads that stand still are not waited for longer than their limit."""
        if self._reads:
            await asyncio.wait(self._reads, timeout=self._read_limit_s)
        for read in self._reads:
            read.cancel()  # the process ends: nobody misses the connection
        await self._pool.close(timeout=self._read_limit_s)

    async def read(self, session_id: str, *, shard: int, epoch: int) -> StoredConversation | None:
        """Give the conversation, or None: Postgres did not answer within the limit."""
        rows = await self._within_limit(
            self._rows(
                _QUERIES["conversation"],
                {
                    "topic": SESSION_LOG,
                    "session_id": session_id,
                    "shard": shard,
                    "epoch": epoch,
                    "texts": self._texts,
                    "messages": MESSAGES_MAX,
                },
            )
        )
        if rows is None:
            return None
        messages = [_message(row) for row in rows if row["message_id"] is not None]
        messages.sort(key=lambda message: message.first or Place(0, 0))
        transcript = Transcript(
            messages={each.message_id: each for each in messages},
            keep_reasoning=False,
            forgotten=forgotten_of(rows[0]),
        )
        return StoredConversation(transcript, rows[0]["next_offset"])

    async def look_up(
        self, session_id: str, message_id: str, *, shard: int, epoch: int
    ) -> StoredState | None:
        """Say whether a message has ended; None: Postgres did not answer."""
        parameters = {
            "topic": SESSION_LOG,
            "session_id": session_id,
            "message_id": message_id,
            "shard": shard,
            "epoch": epoch,
            "ids": known_messages.MESSAGES_MAX + 1,
        }
        rows = await self._within_limit(self._rows(_QUERIES["look_up"], parameters))
        if not rows:
            return None
        [row] = rows
        ended = row["state"] in ("complete", "error")
        return StoredState(ended, row["next_offset"], row["message_ids"])

    async def _rows(
        self, statement: LiteralString, parameters: Mapping[str, object]
    ) -> Sequence[dict[str, Any]]:
        # A server that was started again has broken all that wait in the pool. To ask each whether
        # it lives before it is used would cost every read as much as the read itself.
        for _ in range(CONNECTIONS_MAX):
            with suppress(_Broken):
                return await self._asked(statement, parameters)
        return await self._asked(statement, parameters)

    async def _asked(
        self, statement: LiteralString, parameters: Mapping[str, object]
    ) -> Sequence[dict[str, Any]]:
        async with self._pool.connection() as connection:
            try:
                if self._begin is None:
                    return await (await connection.execute(statement, parameters)).fetchall()
                async with connection.transaction():
                    await connection.execute(self._begin)
                    return await (await connection.execute(statement, parameters)).fetchall()
            except psycopg.OperationalError as error:
                if connection.closed:
                    raise _Broken from error
                raise

    async def _within_limit(self, reading: Coroutine[Any, Any, T]) -> T | None:
        # A pooled read is never cancelled, neither at its limit nor with whoever waits for it: that
        # can lose its connection for good. It is let go, and ends when the server has answered or
        # the connection breaks; until then it holds one of the few connections.
        read = asyncio.create_task(reading)
        self._reads.add(read)
        read.add_done_callback(self._let_go)
        done, _ = await asyncio.wait({read}, timeout=self._read_limit_s)
        if not done:
            return None
        try:
            return read.result()
        except (psycopg.Error, PoolTimeout, OSError):
            return None

    def _let_go(self, read: asyncio.Task[Any]) -> None:
        self._reads.discard(read)
        if not read.cancelled():
            read.exception()  # seen here; whoever still waits for it sees it too


def _message(row: Mapping[str, Any]) -> Message:
    message = message_of(row)
    assert message is not None, "the statement leaves out rows without a state"  # noqa: S101
    return message
