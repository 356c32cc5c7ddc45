"""`talklog replay`: read a session's conversation again, from the topic or from Postgres.

The topic is the truth and Postgres a copy of its fold; that both print the same is the quickest
check of an installation there is. FORMAT=events shows every record with what the fold made of it,
so that a fenced attempt or a repeat can be seen. SPEED=1 reads it as it happened, 10 ten times as
fast.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from importlib.resources import files
from typing import Annotated

import msgspec
import typer

from deploy.operators.replay.playing import PAUSE_MAX_S, BadSpeed, Pace, Telling, speed_of
from deploy.operators.tooling.conversation_text import conversation, harmless
from deploy.operators.tooling.installation import Installation, NoInstallation, find
from deploy.operators.tooling.leaving import leave
from deploy.operators.tooling.progress import Progress
from deploy.operators.tooling.session_id import session_problem
from schemas.cursor import Cursor
from schemas.events import Event, SessionEvent, UndecodableEvent, decode_session_event
from schemas.forgetting import since_forgotten
from schemas.log.log_reader import LogUnavailable
from schemas.process.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_SETTINGS
from schemas.shard_log import Record
from schemas.topics import SESSION_LOG, shard_of
from schemas.transcript import Message, Place, Transcript

_leave = functools.partial(leave, "replay")

POSTGRES_S = 10


class Format(Enum):
    """What is printed."""

    conversation = "conversation"
    events = "events"


class Source(Enum):
    """Where it is read."""

    topic = "topic"
    postgres = "postgres"


class ReplayFailed(Exception):
    """It can't be read; the text says why."""


class UnknownSession(ReplayFailed):
    """The source holds nothing of the session."""


def replay(
    session: Annotated[str, typer.Option(help="the session's id")] = "",
    form: Annotated[
        Format, typer.Option("--format", help="events: one JSON line a record, with its cursor")
    ] = Format.conversation,
    source: Annotated[Source, typer.Option("--from", help="where to read")] = Source.topic,
    speed: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="as it happened (1), or N times as fast; no pause takes longer than "
            f"{PAUSE_MAX_S:g} s",
        ),
    ] = "",
) -> None:
    """Print a session's conversation, re-read from the log."""
    problem = _usage_problem(session, form, source, speed)
    if problem:
        _leave(problem, EXIT_SETTINGS)
    try:
        installation = find(os.environ)
        if source is Source.postgres:
            _print_conversation(from_postgres(installation.need_postgres(), session))
        else:
            asyncio.run(
                _from_topic(installation, session, form, speed_of(speed) if speed else None)
            )
    except NoInstallation as error:
        _leave(str(error), EXIT_SETTINGS)
    except (ReplayFailed, LogUnavailable) as error:
        _leave(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Replay:
    """One session of a shard: its fold.

    `on_event` is told every record as a line, `on_shown` the text that each adds.
    """

    def __init__(
        self,
        session_id: str,
        shard: int,
        epoch: int,
        on_event: Callable[[bytes], None] | None = None,
        on_shown: Callable[[str], None] | None = None,
    ) -> None:
        keep = on_event is None
        self.transcript = Transcript(keep_text=keep, keep_reasoning=keep)
        self.records = 0
        self._session_id = session_id
        self._shard = shard
        self._epoch = epoch
        self._on_event = on_event
        self._on_shown = on_shown
        self._telling = Telling()

    def take(self, records: Iterable[Record]) -> None:
        """Fold those of the session, in log order."""
        for record in records:
            if record.session_id == self._session_id:
                self.records += 1
                self._take(record)

    def _take(self, record: Record) -> None:
        """Fold it, and tell of it; of what was forgotten only that it is there."""
        event: SessionEvent | None = None
        try:
            event = decode_session_event(record.value)
            outcome = "SKIPPED"
        except UndecodableEvent:
            outcome = "UNDECODABLE"
        if event is not None:
            done = self.transcript.apply(event, Place(self._epoch, record.offset))
            outcome = done.name
            if self._on_shown is not None and done.counts:
                message = self.transcript.messages[event.message_id]
                for text in self._telling.told(event, done, message):
                    self._on_shown(text)
        if self._on_event is not None:
            cursor = str(Cursor(self._epoch, self._shard, record.offset))
            known = event is None or event.message_id in self.transcript.messages
            withheld = None if known or outcome != "LATE" else event
            self._on_event(event_line(record, cursor, outcome, withheld))


def event_line(
    record: Record, cursor: str, outcome: str, forgotten: SessionEvent | None = None
) -> bytes:
    """One record as a JSON line; a value that is no JSON stands there as text.

    Of an event that is `forgotten` only its head is shown.
    """
    value: object = msgspec.Raw(record.value)
    if outcome == "UNDECODABLE":
        value = record.value.decode(errors="replace")
    if forgotten is not None:
        value = {name: getattr(forgotten, name) for name in Event.__struct_fields__}
    return msgspec.json.encode(
        {"cursor": cursor, "logged_ms": record.timestamp_ms, "outcome": outcome, "event": value}
    )


def from_postgres(dsn: str, session_id: str) -> list[Message]:
    """Read what the persister has written of the session, in log order.

    Raises:
        UnknownSession: nothing. ReplayFailed: Postgres did not answer.
    """
    # Imported when needed: the topic can be replayed where there is no Postgres.
    import psycopg
    from psycopg.rows import dict_row

    from schemas.conversation import message_of

    query = files("deploy.operators.replay").joinpath("replay.sql").read_text()
    try:
        with psycopg.connect(dsn, connect_timeout=POSTGRES_S, row_factory=dict_row) as connection:
            # Of this transaction alone: behind a pooler the connection is lent to others after it.
            connection.execute(f"SET LOCAL statement_timeout = '{POSTGRES_S}s'")
            rows = connection.execute(query, {"session_id": session_id}).fetchall()
    except psycopg.Error as error:
        raise ReplayFailed(f"Postgres: {error}".strip()) from error
    if not rows:
        raise UnknownSession(f"Postgres holds nothing of session {session_id!r}")
    messages = [message for row in rows if (message := message_of(row)) is not None]
    waiting = len(rows) - len(messages)
    if waiting:
        print(f"{waiting} said, nothing of an answer yet", file=sys.stderr)
    return messages


async def _from_topic(
    installation: Installation, session: str, form: Format, speed: float | None
) -> None:
    from deploy.operators.tooling.reread import Range, reread
    from deploy.operators.topics import TopicsUnusable, partitions_of

    kafka = installation.need_kafka()
    # A conversation shows no cursors: it can be read without knowing the epoch.
    epoch = installation.need_epoch() if form is Format.events else installation.epoch or 1
    try:
        shards = await partitions_of(kafka, SESSION_LOG)
    except TopicsUnusable as error:
        raise ReplayFailed(str(error)) from error
    if not shards:
        raise ReplayFailed(f"Kafka at {kafka} has no topic {SESSION_LOG}")
    shard = shard_of(session, shards)
    found = Replay(
        session,
        shard,
        epoch,
        _print_event if form is Format.events else None,
        _print_shown if speed is not None and form is Format.conversation else None,
    )
    # What was said before the session was forgotten is to be told in no format, and that it was
    # forgotten is only known behind it.
    held_back = speed is not None or form is Format.events
    later: list[Record] = []
    progress: Progress | None = None

    def on_range(there: Range) -> None:
        nonlocal progress
        progress = Progress(there.end - there.start, "records", time.monotonic())

    def on_records(records: Sequence[Record]) -> None:
        if not held_back:
            found.take(records)
        else:
            later.extend(record for record in records if record.session_id == session)
        if progress is not None:
            progress.add(len(records), time.monotonic())

    trimmed = await reread(
        kafka, SESSION_LOG, shard, shards, on_range=on_range, on_records=on_records
    )
    if progress is not None:
        progress.clear()
    for gap in trimmed:
        lost = f"{gap.from_offset} to {gap.to_offset - 1}"
        print(f"offsets {lost} were trimmed before they were read", file=sys.stderr)
    if held_back:
        await _play(found, since_forgotten(later), speed)
    if not found.records:
        raise UnknownSession(f"the log holds nothing of session {session!r} (shard {shard})")
    if (forgotten := found.transcript.forgotten) is not None:
        print(f"the session was forgotten at offset {forgotten.at.offset}", file=sys.stderr)
    if form is Format.conversation and speed is None:
        _print_conversation(found.transcript.messages.values())


async def _play(found: Replay, records: Iterable[Record], speed: float | None) -> None:
    pace = Pace(speed) if speed is not None else None
    for record in records:
        if pace is not None:
            await asyncio.sleep(pace.wait_s(record.timestamp_ms, time.monotonic()))
        found.take([record])
        sys.stdout.flush()


def _print_shown(text: str) -> None:
    lines = text.split("\n")
    print("\n".join(map(harmless, lines)) if sys.stdout.isatty() else text, end="")


def _print_event(line: bytes) -> None:
    print(line.decode())


def _print_conversation(messages: Iterable[Message]) -> None:
    shown = sys.stdout.isatty()
    for line in conversation(messages):
        print(harmless(line) if shown else line)
    sys.stdout.flush()


def _usage_problem(session: str, form: Format, source: Source, speed: str) -> str | None:
    if not session:
        return "which session? talklog replay --session ID (make replay SESSION=ID)"
    unknown = session_problem(session)
    if unknown:
        return unknown
    if source is Source.postgres and form is Format.events:
        return "Postgres holds the fold, not the events: --format events needs --from topic"
    if speed:
        try:
            speed_of(speed)
        except BadSpeed as error:
            return str(error)
        if source is Source.postgres:
            return "Postgres holds the fold, not when what was written: --speed needs --from topic"
    return None
