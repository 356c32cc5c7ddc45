"""Postgres: what is stored, and the one transaction that stores more.

Nothing here waits for ever. The server is asked to give up (statement, lock and idle-in-transaction
time-outs), and if it doesn't answer at all (stopped, or cut off) the socket is cut from this side:
asking it to cancel would wait for it once more. After any error the connection is closed, because
its state, and perhaps the outcome of a transaction, is not known.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row

from persister.answer_row import row_of
from persister.batch import Partition
from persister.changes import Changes, ForgottenRow, Key
from persister.copy_text import copy_text
from persister.timeouts import CONNECT_S, Timeouts
from schemas.statements import json_of, statements

T = TypeVar("T")
APPLICATION = "talklog-persister"
STATEMENTS = statements("persister", "queries.sql")
REMOVED_AT_ONCE = 20_000
"""So many rows of a table one transaction removes, as long as there are more of a session."""


class StoreUnavailable(Exception):
    """Postgres did not do it, or did not say so: wait, and ask for the positions again."""


class PositionsHeld(StoreUnavailable):
    """Another writer's transaction holds the positions: it may be stopped in the middle of it."""


class Superseded(Exception):
    """A position is not what was expected: somebody else writes this shard. Nothing was written."""


class RowRefused(Exception):
    """Postgres refuses the content of a row (class 22 or 23). Nothing was written."""


class StoreNotRight(StoreUnavailable):
    """The tables refuse what is right: a migration is missing, or one too many.

    No record may be passed for that. Wait until somebody has put it right.
    """


NOT_RIGHT = {
    psycopg.errors.NotNullViolation.sqlstate,  # 23502: a column that this version doesn't know
    psycopg.errors.CheckViolation.sqlstate,  # 23514: a rule that this version doesn't know
}


@dataclass(frozen=True, slots=True)
class Move:
    """A position that a transaction moves, from the expected value only."""

    partition: Partition
    epoch: int
    expected: int
    next: int


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition is in the rows."""

    epoch: int
    next_offset: int


class Store:
    """One connection, made when it is needed; not for use by two tasks at once."""

    def __init__(
        self, dsn: str, timeouts: Timeouts, search_path: str | None = None, *, pooled: bool = False
    ) -> None:
        self._dsn = dsn
        self._timeouts = timeouts
        self._limits = timeouts.limits(search_path, pooled=pooled)
        self._connection: AsyncConnection[DictRow] | None = None

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, TimeoutError):
                await asyncio.wait_for(connection.close(), 1.0)

    async def positions(self) -> dict[Partition, Position]:
        """Give every stored position. Raises StoreUnavailable, as every method does."""
        rows = await self._asked("positions", {})
        return {
            Partition(row["topic"], row["shard"]): Position(row["epoch"], row["next_offset"])
            for row in rows
        }

    async def begin(self, partition: Partition, epoch: int, start: int) -> None:
        """Make the position of a shard that was never read, or not in this epoch."""
        values = {"topic": partition.topic, "shard": partition.shard}
        values_at = {**values, "epoch": epoch, "start": start}
        await self._bounded(self._alone(lambda: self._run("begin_position", values_at)))
        await self._bounded(self._alone(lambda: self._run("begin_epoch", values_at)))

    async def lookup(
        self, keys: Iterable[Key], sessions: Iterable[str]
    ) -> tuple[list[DictRow], dict[str, int], list[DictRow]]:
        """Give the rows of `answers` of these messages, and each session's next number.

        Third, the rows of forgotten_sessions of these sessions.
        """
        wanted = list(keys)
        split = {"sessions": [key[0] for key in wanted], "messages": [key[1] for key in wanted]}
        rows = await self._asked("answers_of", split) if wanted else []
        asked = {"sessions": list(sessions)}
        found = await self._asked("highest_of", asked) if asked["sessions"] else []
        forgotten = await self._asked("forgotten_of", asked) if asked["sessions"] else []
        highest = {row["session_id"]: row["next_chunk_sequence"] for row in found}
        return rows, highest, forgotten

    async def remove_some(self, gone: ForgottenRow, moves: Sequence[Move]) -> int:
        """Remove some rows of a forgotten session, if the positions are what `moves` expects.

        Gives how many of the table that had the most; less than REMOVED_AT_ONCE: none are left.
        Raises as `save` does.
        """
        standing = [replace(move, next=move.expected) for move in moves]
        return await self._bounded(self._remove_some(gone, standing))

    async def save(self, changes: Changes, moves: Sequence[Move]) -> None:
        """Write a batch and move its positions: all of it or nothing.

        Raises:
            Superseded, RowRefused, StoreUnavailable: see there. After the last one it may be
                written all the same: ask for the positions.
        """
        await self._bounded(self._save(changes, moves))

    async def try_out(self, changes: Changes) -> None:
        """Write rows and take them back. Raises as `save` does."""
        await self._bounded(self._try_out(changes))

    async def note_gap(self, move: Move, *, cuts_answers: bool) -> None:
        """Record that the log no longer holds what `move` passes; open answers may be cut by it.

        Raises as `save` does.
        """
        await self._bounded(self._note_gap(move, cuts_answers))

    async def open_before(self, epoch: int, shard: int, start: int, after: Key) -> list[DictRow]:
        """Give the next open answers whose last event lies in an earlier epoch or before `start`.

        They come in the order of their keys, some at a time; none means that there are no more.
        """
        values = {"epoch": epoch, "shard": shard, "start": start}
        values_after = {**values, "after_session": after[0], "after_message": after[1]}
        return await self._asked("open_before", values_after)

    async def end_lost(self, keys: Sequence[Key], moves: Sequence[Move]) -> None:
        """End these answers as lost, if the positions are what `moves` expects.

        Raises as `save` does.
        """
        await self._bounded(self._end_lost(keys, moves))

    async def end_stalled_writers(self) -> int:
        """End the sessions of writers that were stopped within a transaction, and say how many."""
        values = {"stalled_s": self._timeouts.idle_in_transaction_s}
        rows = await self._asked("end_stalled_writers", values)
        return int(rows[0]["ended"])

    async def _save(self, changes: Changes, moves: Sequence[Move]) -> None:
        async with self._transaction() as connection:
            await self._move(moves)
            await self._write(connection, changes)

    async def _try_out(self, changes: Changes) -> None:
        async with self._transaction(force_rollback=True) as connection:
            await self._write(connection, changes)

    async def _remove_some(self, gone: ForgottenRow, moves: Sequence[Move]) -> int:
        async with self._transaction():
            await self._move(moves)
            return await self._remove(gone)

    async def _remove(self, gone: ForgottenRow) -> int:
        of = {"session": gone.session_id, "rows": REMOVED_AT_ONCE}
        said = {"said_epoch": gone.said_epoch, "said_before": gone.said_before}
        removed = [
            await self._run("remove_answers", of),
            await self._run("remove_chunks", of),
            await self._run("remove_prompts", of | said),
        ]
        return max(removed)

    async def _write(self, connection: AsyncConnection[DictRow], changes: Changes) -> None:
        if changes.forgotten:
            for gone in changes.forgotten:
                while await self._remove(gone) == REMOVED_AT_ONCE:
                    pass
            forgotten = [row._asdict() for row in changes.forgotten]
            await self._run("put_forgotten", {"rows": json_of(forgotten)})
        if changes.replaced:
            ranges = [replaced._asdict() for replaced in changes.replaced]
            await self._run("remove_replaced", {"ranges": json_of(ranges)})
        if changes.chunks:
            async with connection.cursor().copy(STATEMENTS["add_chunks"]) as copy:
                for text in copy_text(changes.chunks):
                    await copy.write(text)
        if changes.completed:
            sessions, numbers = zip(*changes.completed, strict=True)
            numbered = {"sessions": list(sessions), "numbers": list(numbers)}
            await self._run("complete", numbered)
        if changes.answers:
            rows = [row_of(answer) for answer in changes.answers]
            await self._run("put_answers", {"rows": json_of(rows)})
        if changes.reasonings:
            reasonings = [reasoning._asdict() for reasoning in changes.reasonings]
            await self._run("put_reasonings", {"rows": json_of(reasonings)})
        if changes.cancels:
            cancels = [cancel._asdict() for cancel in changes.cancels]
            await self._run("see_cancels", {"rows": json_of(cancels)})
        if changes.prompts:
            prompts = [prompt._asdict() for prompt in changes.prompts]
            await self._run("put_prompts", {"rows": json_of(prompts)})

    async def _note_gap(self, move: Move, cuts_answers: bool) -> None:
        async with self._transaction():
            await self._move([move])
            topic, shard = move.partition
            between = {"from_offset": move.expected, "to_offset": move.next}
            await self._run("note_gap", {"topic": topic, "shard": shard, **between})
            if cuts_answers:
                await self._run("damage_open", {"shard": shard})

    async def _end_lost(self, keys: Sequence[Key], moves: Sequence[Move]) -> None:
        async with self._transaction():
            await self._move(moves)
            split = {"sessions": [key[0] for key in keys], "messages": [key[1] for key in keys]}
            await self._run("end_lost", split)

    async def _move(self, moves: Sequence[Move]) -> None:
        rows = [
            {
                "topic": move.partition.topic,
                "shard": move.partition.shard,
                "epoch": move.epoch,
                "expected": move.expected,
                "next": move.next,
            }
            for move in moves
        ]
        moved = await self._run("move_positions", {"moves": json_of(rows)})
        if moved != len(moves):
            raise Superseded(f"{len(moves) - moved} of {len(moves)} positions have moved")

    async def _asked(self, name: str, values: Mapping[str, Any]) -> list[DictRow]:
        return await self._bounded(self._alone(lambda: self._all(name, values)))

    async def _all(self, name: str, values: Mapping[str, Any]) -> list[DictRow]:
        connection = await self._connected()
        cursor = await connection.execute(STATEMENTS[name], values)
        return await cursor.fetchall()

    async def _run(self, name: str, values: Mapping[str, Any]) -> int:
        connection = await self._connected()
        return (await connection.execute(STATEMENTS[name], values)).rowcount

    async def _connected(self) -> AsyncConnection[DictRow]:
        connection: AsyncConnection[DictRow] | None = self._connection
        if connection is None or connection.closed:
            connect = AsyncConnection.connect(
                self._dsn,
                autocommit=True,
                row_factory=dict_row,
                application_name=APPLICATION,
                connect_timeout=int(CONNECT_S),
                **self._limits.connection(),
            )
            try:
                made: AsyncConnection[DictRow] = await asyncio.wait_for(connect, CONNECT_S)
            except psycopg.OperationalError as error:
                raise StoreUnavailable(f"TALKLOG_POSTGRES_DSN: {_line(error)}") from error
            self._connection = connection = made
        return connection

    @contextlib.asynccontextmanager
    async def _transaction(
        self, *, force_rollback: bool = False
    ) -> AsyncIterator[AsyncConnection[DictRow]]:
        connection = await self._connected()
        async with connection.transaction(force_rollback=force_rollback):
            if (begin := self._limits.transaction()) is not None:
                await connection.execute(begin)
            yield connection

    async def _alone(self, statement: Callable[[], Awaitable[T]]) -> T:
        """Run one statement in a transaction of its own, as far as the limits need one."""
        if not self._limits.pooled:
            return await statement()
        async with self._transaction():
            return await statement()

    async def _bounded(self, work: Awaitable[T]) -> T:
        """Wait for the work, not for ever, and translate what goes wrong."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._timeouts.answer_s)
            if not done:
                raise StoreUnavailable(f"no answer in {self._timeouts.answer_s:.0f} s")
            return await task
        except Superseded:
            raise
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            refused = StoreNotRight if error.sqlstate in NOT_RIGHT else RowRefused
            raise refused(_line(error)) from error
        except psycopg.errors.LockNotAvailable as error:
            raise PositionsHeld(_line(error)) from error
        except (psycopg.Error, OSError, TimeoutError) as error:
            await self._give_up(task)
            raise StoreUnavailable(_line(error)) from error
        except (StoreUnavailable, asyncio.CancelledError):
            await self._give_up(task)
            raise

    async def _give_up(self, task: "asyncio.Future[Any]") -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.closed:
            # A cancel would ask a server that doesn't answer, and wait.
            with contextlib.suppress(OSError, psycopg.Error):
                duplicate = socket.socket(fileno=os.dup(connection.pgconn.socket))
                with duplicate:
                    duplicate.shutdown(socket.SHUT_RDWR)
        task.cancel()
        with contextlib.suppress(BaseException):
            await asyncio.wait({task}, timeout=1.0)
        if connection is not None:
            with contextlib.suppress(psycopg.Error, TimeoutError):
                await asyncio.wait_for(connection.close(), 1.0)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]
