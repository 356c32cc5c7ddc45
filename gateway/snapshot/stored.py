"""What Postgres holds of a session, and how far in the log that is: read in one moment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, Error, IsolationLevel
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from schemas.conversation import forgotten_of, message_of, prompt_of
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
            next_offset = await self._next_offset(ask, wanted.shard)
            forgotten = await ask("forgotten", session_id=wanted.session_id)
            [ended] = await ask("ended", **self._of(wanted))
            chosen, more = await self._chosen(ask, wanted.session_id, _END, wanted.history)
            still_open = await ask("open", session_id=wanted.session_id)
            ids = [*{*chosen, *ended["since"], *(row["message_id"] for row in still_open)}]
            rows, messages = await self._messages(ask, wanted.session_id, ids)
            return Stored(
                next_offset=next_offset,
                messages=messages,
                named_in_epoch={row["message_id"]: row["named_in_epoch"] or 0 for row in rows},
                ended=ended["ids"],
                more=more,
                forgotten=forgotten_of(forgotten[0]) if forgotten else None,
            )

    async def earlier(self, session_id: str, shard: int, before: str | None, limit: int) -> Page:
        """Read finished messages that began before another one, or the newest if it is not stored.

        As many as asked for, or as fit into a snapshot. Raises StoreUnavailable.
        """
        async with self._asking() as ask:
            next_offset = await self._next_offset(ask, shard)
            places = await ask("place", session_id=session_id, message_id=before or "")
            place = Place(places[0]["first_epoch"], places[0]["first_offset"]) if places else _END
            chosen, more = await self._chosen(ask, session_id, place, limit)
            _, messages = await self._messages(ask, session_id, chosen)
            return Page(messages, more, next_offset)

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

    async def _next_offset(self, ask: Ask, shard: int) -> int | None:
        """Give how far this epoch's session log is in the rows; None: nothing of it is."""
        for row in await ask("stored_position", topic=SESSION_LOG, shard=shard):
            if row["epoch"] == self._epoch:
                return int(row["next_offset"])
        return None

    def _of(self, wanted: Wanted) -> dict[str, Any]:
        return {
            "session_id": wanted.session_id,
            "epoch": self._epoch,
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
        rows = await ask("states", session_id=session_id, message_ids=list(ids))
        messages = [message for row in rows if (message := message_of(row)) is not None]
        _put_texts(messages, await ask("texts", session_id=session_id, message_ids=list(ids)))
        return rows, messages


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)


def _put_texts(messages: Sequence[Message], rows: Sequence[dict[str, Any]]) -> None:
    texts = {row["message_id"]: row for row in rows}
    for message in messages:
        row = texts.get(message.message_id)
        if row is not None:
            message.prompt = prompt_of(row)
            message.contents = [row["content"]] if row["content"] else []
            message.reasoning_contents = [row["reasoning"]] if row["reasoning"] else []
