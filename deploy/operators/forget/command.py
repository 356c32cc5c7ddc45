"""`talklog forget`: erase a conversation for every reader of it.

An event in the session log says that the session is forgotten, and all that read the log obey it:
workers, gateways, pages, the persister, and every later rebuild or replay. So it is written first;
then it is waited for until the persister has removed the rows. What it does not reach is said in
docs/security.md: the records themselves, until Kafka lets go of them, and copies of the tables.

Exit codes: 0 it is done, 1 not (all of it, or not yet), 2 settings or usage, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from ulid import ULID

from deploy.operators.forget.memory import MemoryUnavailable, forget_in_redis
from deploy.operators.forget.rows import Rows, RowsUnavailable, Spoken
from deploy.operators.tooling.installation import Installation, NoInstallation, find
from deploy.operators.tooling.leaving import leave
from deploy.operators.tooling.log_range import LogRanges
from deploy.operators.tooling.progress import Progress
from deploy.operators.tooling.session_id import session_problem
from deploy.operators.topics import TopicsUnusable, partitions_of
from schemas.cursor import Cursor
from schemas.events import SessionForgotten, encode, iso
from schemas.log.log_reader import LogUnavailable
from schemas.log.producer import LogProducer, SendFailed
from schemas.process.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_SETTINGS
from schemas.topics import SESSION_LOG, USER_MESSAGES, shard_of
from schemas.transcript import Place

_leave = functools.partial(leave, "forget")

LOOK_EVERY_S = 0.2


class NotRemoved(Exception):
    """The event is in the log, but rows were not removed in the time given."""


@dataclass(frozen=True, slots=True)
class Written:
    """A session that is forgotten from `at` on, and what the tables had of it before."""

    session_id: str
    at: Cursor
    messages: int
    chunks: int

    @property
    def place(self) -> Place:
        """Where the event lies in its shard."""
        return Place(self.at.epoch, self.at.offset)


def forget(
    session: Annotated[str, typer.Argument(metavar="[SESSION]", help="the session's id")] = "",
    user: Annotated[
        str, typer.Option("--user", help="every session in which only this user has spoken")
    ] = "",
    shared: Annotated[
        bool, typer.Option("--shared", help="with --user: also those in which others have spoken")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="don't ask")] = False,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, help="seconds until the rows must be removed")
    ] = 60.0,
) -> None:
    """Erase a conversation: tables, Redis, pages, and every later reading of the log."""
    problem = _usage_problem(session, user, shared=shared)
    if problem:
        _leave(problem, EXIT_SETTINGS)
    try:
        installation = find(os.environ)
        rows = Rows(installation.need_postgres())
        sessions = _chosen(rows, user, shared=shared) if user else [session]
        if not yes and sys.stdin.isatty():
            _confirm(sessions, rows)
        asyncio.run(_forget(installation, rows, sessions, user or None, wait_s))
    except NoInstallation as error:
        _leave(str(error), EXIT_SETTINGS)
    except (
        LogUnavailable,
        MemoryUnavailable,
        NotRemoved,
        RowsUnavailable,
        SendFailed,
        TopicsUnusable,
    ) as error:
        _leave(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _usage_problem(session: str, user: str, *, shared: bool) -> str | None:
    if bool(session) == bool(user):
        return "what? talklog forget SESSION, or --user USER (make forget SESSION=ID)"
    if shared and not user:
        return "--shared needs --user"
    return session_problem(session) if session else None


def _chosen(rows: Rows, user: str, *, shared: bool) -> list[str]:
    """Give the user's sessions that are to be forgotten, and name those that are left."""
    spoken = rows.sessions_of(user)
    left = [] if shared else [each for each in spoken if each.shared]
    for each in left:
        print(f"left: {_told(each)}; --shared forgets it too")
    if not spoken:
        print(f"nothing is known of what {user!r} has said")
    return [each.session_id for each in spoken if each not in left]


def _told(spoken: Spoken) -> str:
    others = spoken.messages - spoken.own
    return f"session {spoken.session_id}, in which others have spoken ({others} messages)"


def _confirm(sessions: Sequence[str], rows: Rows) -> None:
    for each in sessions:
        messages, _ = rows.counts(each)
        print(f"session {each}: {messages:,} messages")
    if sessions and not typer.confirm("Forget this for good?", err=True):
        _leave("nothing was done", EXIT_FAILED)


async def _forget(
    installation: Installation,
    rows: Rows,
    sessions: Sequence[str],
    user: str | None,
    wait_s: float,
) -> None:
    """Write, remove from Redis, wait for the rows; all that can be done is done before it raises.

    Raises as `forget` catches.
    """
    written = await _write(installation, rows, sessions) if sessions else []
    problem = await _forget_memory(installation, written, user)
    await _until_removed(rows, written, wait_s)
    for each in written:
        print(
            f"session {each.session_id} is forgotten at {each.at}: "
            f"{each.messages:,} messages and {each.chunks:,} chunks removed"
        )
    if problem is not None:
        raise problem


async def _write(installation: Installation, rows: Rows, sessions: Sequence[str]) -> list[Written]:
    """Write the events, and say where. Raises LogUnavailable, SendFailed, TopicsUnusable."""
    kafka, epoch = installation.need_kafka(), installation.need_epoch()
    shards = await partitions_of(kafka, SESSION_LOG)
    if not shards:
        raise TopicsUnusable(f"Kafka at {kafka} has no topic {SESSION_LOG}")
    written = []
    async with LogRanges(kafka) as log, LogProducer(kafka, linger_ms=0) as producer:
        for session_id in sessions:
            shard = shard_of(session_id, shards)
            messages, chunks = await asyncio.to_thread(rows.counts, session_id)
            # Asked before the event is written: what is said from here on is a new conversation.
            said_before = (await log.ends(USER_MESSAGES, [shard]))[shard]
            event = SessionForgotten(
                session_id=session_id,
                message_id=str(ULID()),
                created_at=_now(),
                said_before=said_before,
            )
            offset = await producer.send(SESSION_LOG, shard, session_id.encode(), encode(event))
            written.append(Written(session_id, Cursor(epoch, shard, offset), messages, chunks))
    return written


async def _forget_memory(
    installation: Installation, written: Sequence[Written], user: str | None
) -> MemoryUnavailable | None:
    """Remove what Redis has; the workers do so too, so a failure is told at the end."""
    if installation.redis is None:
        print("TALKLOG_REDIS_URL is not set: the workers remove the history", file=sys.stderr)
        return None
    places = [(each.session_id, each.place) for each in written]
    try:
        removed = await forget_in_redis(installation.redis, places, user)
    except MemoryUnavailable as error:
        return MemoryUnavailable(f"Redis may still hold the history: {error}")
    print(f"Redis: {removed:,} keys removed")
    return None


async def _until_removed(rows: Rows, written: Sequence[Written], wait_s: float) -> None:
    """Wait until the persister has come past every event. Raises NotRemoved, RowsUnavailable."""
    left = {each.session_id: each for each in written}
    began_s = time.monotonic()
    progress = Progress(len(left), "sessions", began_s)
    while left:
        found = await asyncio.to_thread(rows.forgotten, left)
        done = [each for each, at in found.items() if at >= left[each].place]
        for each in done:
            del left[each]
        progress.add(len(done), time.monotonic())
        if left and time.monotonic() - began_s >= wait_s:
            progress.clear()
            raise NotRemoved(
                await asyncio.to_thread(_not_removed, rows, list(left.values()), wait_s)
            )
        if left:
            await asyncio.sleep(LOOK_EVERY_S)
    progress.clear()


def _not_removed(rows: Rows, left: Sequence[Written], wait_s: float) -> str:
    lines = []
    for each in left:
        at = each.at
        stored = rows.positions(at.epoch).get(at.shard, 0)
        lines.append(
            f"session {each.session_id}: forgotten at {at}, but not removed after {wait_s:g} s; "
            f"the persister is at {stored}"
        )
    return "\n".join([*lines, "it is in the log: the rows go when the persister comes to it"])


def _now() -> str:
    return iso(datetime.now(UTC))  # noqa: TID251 - the edge
