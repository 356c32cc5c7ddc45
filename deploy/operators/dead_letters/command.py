"""`talklog dead-letters list | show | redrive`.

Exit codes: 0 done (also: nothing there), 1 refused, not there or the log not reached, 2 settings
or usage.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, TypeVar

import typer

from deploy.operators.dead_letters import report
from deploy.operators.dead_letters.again import Again, Refused, again
from deploy.operators.dead_letters.letter import (
    BadNumber,
    Letter,
    OriginalGone,
    number_of,
    same_original,
)
from deploy.operators.tooling.conversation_text import harmless
from deploy.operators.tooling.installation import NoInstallation, find
from deploy.operators.tooling.leaving import leave
from deploy.operators.tooling.since import BadSince, since_ms
from schemas.brokers import Brokers, Kafka
from schemas.events import iso
from schemas.process.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_SETTINGS

_leave = functools.partial(leave, "dead-letters")

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, add_completion=False)

Reason = Annotated[str, typer.Option(help="only those whose reason contains this")]
Since = Annotated[str, typer.Option(help="only not older: 90s, 15m, 2h, 7d, or a moment")]


class Format(Enum):
    """How it is printed."""

    text = "text"
    json = "json"


@app.command("list")
def list_letters(
    form: Annotated[
        Format, typer.Option("--format", help="json: one object a letter and line")
    ] = Format.text,
    reason: Reason = "",
    since: Since = "",
) -> None:
    """One line for each letter: its number, when, why, tries, from where, whose, redriven or not.

    A record that nobody can read is two letters: worker and persister both read it.
    """
    found = report.chosen(_letters(), reason=reason, since_ms=_since(since))
    if form is Format.json:
        if not found:
            print("no dead letters", file=sys.stderr)
        for letter in found:
            print(json.dumps(report.as_json(letter)))
        return
    print(*(report.table(found) or ["no dead letters"]), sep="\n")


@app.command("show")
def show(
    letter: Annotated[str, typer.Argument(metavar="LETTER", help="its number, such as 0.17")],
) -> None:
    """Print a letter's headers and the original: laid out if it is JSON, else its bytes in hex.

    Of a large one the letter has the head; the whole is read where it lay, as long as it is there.
    """
    from deploy.operators.dead_letters.shelf import with_original

    [found] = _named(_letters(), [letter])
    try:
        found = _run(with_original(_kafka(), found))
    except OriginalGone as error:
        print(harmless(f"the head alone: {error}"), file=sys.stderr)
    for line in report.in_full(found):
        print(line)


@app.command("redrive")
def redrive(
    letter: Annotated[
        list[str] | None, typer.Argument(metavar="[LETTER]...", help="numbers, such as 0.17 0.18")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="all that may be redriven")] = False,
    reason: Reason = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done")] = False,
    force: Annotated[bool, typer.Option("--force", help="also what can't be read")] = False,
) -> None:
    """Put messages back where they belong. Doing it again, also after a kill, has one effect.

    A message that ended as retries_exhausted goes back under a new id, always the same,
    at the end of its session's queue; any other as it was.

    A large original is read again where it lay; if it is gone, that is an error.

    Records of ai_response_chunks are refused, and those that can't be read without --force.
    With --all, what is refused is told and is no failure.
    """
    asked = letter or []
    if every == bool(asked) or (reason and not every):
        _leave("which letters? their numbers, or --all (with --reason, if it shall)", EXIT_SETTINGS)
    found = _letters()
    wanted = report.chosen(found, reason=reason, since_ms=0) if every else _named(found, asked)
    if not wanted:
        print("no dead letters")
    gone = _forgotten(wanted)
    refused = _run(_redrive(_kafka(), wanted, gone, dry_run=dry_run, force=force))
    if refused and not every:
        raise typer.Exit(EXIT_FAILED)


def _forgotten(wanted: list[Letter]) -> dict[str, int]:
    """Say which of their sessions were forgotten, and up to where; leave if Postgres is away."""
    from deploy.operators.tooling.forgotten import Unknown, said_before

    sessions = {event.session_id for letter in wanted if (event := letter.event()) is not None}
    try:
        installation = find(os.environ)
        if installation.postgres is None:
            what = "whether a session was forgotten since is not known"
            print(f"TALKLOG_POSTGRES_DSN is not set: {what}", file=sys.stderr)
            return {}
        return said_before(installation.postgres, sessions, installation.epoch)
    except NoInstallation as error:
        _leave(str(error), EXIT_SETTINGS)
    except Unknown as error:
        _leave(str(error), EXIT_FAILED)


async def _redrive(
    kafka: Kafka,
    wanted: list[Letter],
    forgotten: dict[str, int],
    *,
    dry_run: bool,
    force: bool,
) -> int:
    """Redrive them in order, and say so; give how many were refused. Raises as `shelf` does."""
    from deploy.operators.dead_letters.shelf import put_back, with_original
    from deploy.operators.topics import partitions_of
    from schemas.log.producer import LogProducer
    from schemas.topics import USER_MESSAGES

    shards = await partitions_of(kafka, USER_MESSAGES)
    refused = 0
    done: list[Letter] = []
    async with LogProducer(kafka, linger_ms=0) as producer:
        for cut in wanted:
            try:
                # Only what is still to be done needs it.
                letter = cut if cut.redriven_as else await with_original(kafka, cut)
            except OriginalGone as error:
                refused += 1
                _say(cut, f"refused: {error}")
                continue
            twin = next((each for each in done if same_original(each, letter)), None)
            record = again(letter, shards, _now(), force=force, forgotten=forgotten)
            if letter.redriven_as is not None:
                _say(letter, f"redriven already, as {letter.redriven_as}")
            elif twin is not None:
                _say(letter, f"the same record as {twin.number}")
            elif isinstance(record, Refused):
                refused += 1
                _say(letter, f"refused: {record.why}")
            elif dry_run:
                done.append(letter)
                _say(letter, f"would go to {_goal(record)}")
            else:
                _say(letter, f"redriven as {await put_back(producer, letter, record)}")
                done.append(letter)
    return refused


def _goal(record: Again) -> str:
    return f"{record.topic}.{record.shard} {record.message_id or 'as it is'}"


def _say(letter: Letter, what: str) -> None:
    # Written at once: if this process is killed, what was done has been said.
    print(harmless(f"{letter.number}  {what}"), flush=True)


def _named(found: list[Letter], numbers: list[str]) -> list[Letter]:
    """Give the letters with these numbers, each once, or leave."""
    by_number = {letter.number: letter for letter in found}
    try:
        asked = list(dict.fromkeys(number_of(number) for number in numbers))
    except BadNumber as error:
        _leave(str(error), EXIT_SETTINGS)
    missing = [str(number) for number in asked if number not in by_number]
    if missing:
        _leave(f"no letter {', '.join(missing)}: see `talklog dead-letters list`", EXIT_FAILED)
    return [by_number[number] for number in asked]


def _letters() -> list[Letter]:
    from deploy.operators.dead_letters.shelf import read

    return _run(read(_kafka()))


def _kafka() -> Brokers:
    try:
        return find(os.environ).need_kafka()
    except NoInstallation as error:
        _leave(str(error), EXIT_SETTINGS)


def _run(work: Coroutine[Any, Any, T]) -> T:
    from aiokafka.errors import KafkaError

    from deploy.operators.topics import TopicsUnusable
    from schemas.log.log_reader import LogUnavailable
    from schemas.log.log_scan import RangeTrimmed
    from schemas.log.producer import SendFailed

    try:
        return asyncio.run(work)
    except (KafkaError, LogUnavailable, RangeTrimmed, TopicsUnusable, TimeoutError) as error:
        _leave(str(error) or "Kafka did not answer in time", EXIT_FAILED)
    except SendFailed as error:
        _leave(f"not acknowledged: {error}; do it again, it has one effect", EXIT_FAILED)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _since(text: str) -> int:
    try:
        return since_ms(text, time.time_ns() // 1_000_000) if text else 0
    except BadSince as error:
        _leave(str(error), EXIT_SETTINGS)


def _now() -> str:
    return iso(datetime.now(UTC))  # noqa: TID251 - the edge
