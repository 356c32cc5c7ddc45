"""What Postgres holds of a session, and how far in the log that is: read in one moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, Error, IsolationLevel
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
STATEMENT_TIMEOUT_MS = 5000
STATEMENTS = statements("gateway.snapshot", "queries.sql")
Ask = Callable[..., Awaitable[list[DictRow]]]
_END = Place(2**62, 0)
"""Every message stands before it."""


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
        limits = SessionLimits({"statement_timeout": STATEMENT_TIMEOUT_MS}, pooled)
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
            kwargs=self._connection | {"row_factory": dict_row},
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
        async with self._asking() as ask:
            [about] = await ask("session", **self._of(wanted))
            chosen, more = list[str](), False
            if about["finished"]:
                chosen, more = await self._chosen(ask, wanted.session_id, _END, wanted.history)
            ids = [*{*chosen, *about["since"], *about["open"]}]
            rows, messages = await self._messages(ask, wanted.session_id, ids)
            return Stored(
                next_offset=about["next_offset"],
                messages=messages,
                named_in_epoch={row["message_id"]: row["named_in_epoch"] or 0 for row in rows},
                ended=about["ended"],
                more=more,
                forgotten=forgotten_of(about),
            )

    async def earlier(self, session_id: str, shard: int, before: str | None, limit: int) -> Page:
        """Read finished messages that began before another one, or the newest if it is not stored.

        As many as asked for, or as fit into a snapshot. Raises StoreUnavailable.
        """
        async with self._asking() as ask:
            [found] = await ask(
                "place", **self._log(shard), session_id=session_id, message_id=before or ""
            )
            stands = found["first_epoch"] is not None
            place = Place(found["first_epoch"], found["first_offset"]) if stands else _END
            chosen, more = await self._chosen(ask, session_id, place, limit)
            _, messages = await self._messages(ask, session_id, chosen)
            return Page(messages, more, found["next_offset"])

    async def ended_before(
        self, session_id: str, message_ids: Collection[str], offset: int
    ) -> set[str]:
        """Say which of the messages had ended before that offset. Raises StoreUnavailable."""
        async with self._asking() as ask:
            rows = await ask(
                "ended_before",
                session_id=session_id,
                message_ids=list(message_ids),
                epoch=self._epoch,
                offset=offset,
            )
            return {row["message_id"] for row in rows}

    def _log(self, shard: int) -> dict[str, Any]:
        return {"topic": SESSION_LOG, "shard": shard, "epoch": self._epoch}

    def _of(self, wanted: Wanted) -> dict[str, Any]:
        return self._log(wanted.shard) | {
            "session_id": wanted.session_id,
            "log_start": wanted.log_start,
            "joined_epoch": wanted.joined.epoch,
            "joined_offset": wanted.joined.offset,
            "ids": ENDED_MAX_IDS,
        }

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[Ask]:
        """Give what asks by a statement's name, in one transaction. Raises StoreUnavailable."""
        try:
            async with self._pool.connection() as connection, connection.cursor() as cursor:
                if self._begin is not None:
                    await cursor.execute(self._begin)

                async def ask(statement: str, **values: object) -> list[DictRow]:
                    await cursor.execute(STATEMENTS[statement], values)
                    return await cursor.fetchall()

                yield ask
        except (Error, PoolTimeout, OSError) as error:
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    async def _chosen(
        self, ask: Ask, session_id: str, before: Place, limit: int
    ) -> tuple[list[str], bool]:
        """Give the ids of the newest that fit, at least one, and whether there are older ones."""
        rows = await ask(
            "chosen",
            session_id=session_id,
            before_epoch=before.epoch,
            before_offset=before.offset,
            messages=limit + 1,
        )
        fitting = [
            row for at, row in enumerate(rows) if row["bytes"] <= SNAPSHOT_MAX_BYTES or not at
        ]
        chosen = [row["message_id"] for row in fitting[:limit]]
        return chosen, len(rows) > len(chosen)

    async def _messages(
        self, ask: Ask, session_id: str, ids: Sequence[str]
    ) -> tuple[Sequence[DictRow], list[Message]]:
        if not ids:
            return [], []
        rows = await ask("messages", session_id=session_id, message_ids=list(ids))
        return rows, [message for row in rows if (message := message_of(row)) is not None]


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)
