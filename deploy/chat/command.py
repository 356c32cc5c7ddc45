"""`talklog chat`: a conversation in the terminal, or one message from a pipe.

`echo hi | talklog chat` writes the whole answer when it has ended, so that what a script reads is
never the text of an attempt that was replaced. On a terminal the answer streams; Ctrl-C stops the
answer, Ctrl-C (or Ctrl-D) at the prompt leaves, `/help` tells the rest. Markdown is shown as what
it means on a terminal, and comes through a pipe as it was written.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated

import typer
from ulid import ULID

from deploy.chat.link import Address, Link, Stopped
from deploy.chat.own_session import session_for
from deploy.chat.waiting import ANSWER_S, JOIN_S, until
from deploy.operators.tooling.installation import NoInstallation, find
from deploy.operators.tooling.session_id import session_problem
from schemas.limits import CONTENT_MAX_BYTES
from schemas.process.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_SETTINGS

DEFAULT_URL = "ws://localhost:8000"


def chat(
    session: Annotated[str, typer.Option(help="session id; a new one if not given")] = "",
    url: Annotated[str, typer.Option(help="ws://host:port of any gateway")] = "",
    history: Annotated[int, typer.Option(min=0, help="finished messages shown at first")] = 20,
    token: Annotated[str, typer.Option(envvar="TALKLOG_TOKEN", hidden=True)] = "",
) -> None:
    """Chat with the model, or send what comes from a pipe and print the answer."""
    problem = session_problem(session) if session else None
    if problem:
        _say(problem)
        raise typer.Exit(EXIT_SETTINGS)
    try:
        found = find({name: value for name, value in os.environ.items() if name != "TALKLOG_TOKEN"})
    except NoInstallation as error:
        _say(str(error))
        raise typer.Exit(EXIT_SETTINGS) from None
    interactive = sys.stdin.isatty()
    address = Address(
        url or found.url or DEFAULT_URL,
        session or session_for(token, str(ULID())),
        history if interactive else 0,
        token or None,
    )
    try:
        code = asyncio.run(_interactive(address) if interactive else _piped(address))
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


async def _interactive(address: Address) -> int:
    # Imported when needed: a pipe has no prompt.
    from deploy.chat.terminal import converse

    return await converse(address)


async def _piped(address: Address) -> int:
    content = sys.stdin.read().strip()
    problem = _cannot_be_sent(content)
    if problem:
        _say(problem)
        return EXIT_SETTINGS
    changed = asyncio.Event()
    link = Link(address, changed.set)
    running = asyncio.create_task(link.run())
    try:
        return await _one_answer(link, content, changed, running)
    except Stopped as error:
        _say(str(error))
    except TimeoutError:
        _say(f"no answer in time; the last of the connection: {link.state}")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return EXIT_FAILED


async def _one_answer(
    link: Link, content: str, changed: asyncio.Event, running: asyncio.Task[None]
) -> int:
    message_id = str(ULID())
    await until(lambda: link.view.joined, changed, running, JOIN_S)
    await link.ask(message_id, content)
    view, erased = link.view, link.view.erased
    await until(lambda: view.over(message_id) or view.erased > erased, changed, running, ANSWER_S)
    message = link.view.transcript.messages.get(message_id)
    if message is None:
        own = link.view.own.get(message_id)
        gone = "this conversation was erased" if view.erased > erased else None
        _say(gone or (own and own.problem) or "it has ended, but its text can't be had")
        return EXIT_FAILED
    if message.text:
        print(message.text, flush=True)
    if message.error is not None:
        _say(f"{message.error.code}: {message.error.message}")
        return EXIT_FAILED
    if message.finish_reason != "stop":
        _say(f"the answer ended early: {message.finish_reason}")
    return 0


def _cannot_be_sent(content: str) -> str | None:
    if not content:
        return "nothing to send: standard input is empty"
    size = len(content.encode(errors="replace"))
    if size > CONTENT_MAX_BYTES:
        return f"the message has {size} bytes, the limit is {CONTENT_MAX_BYTES}"
    return None


def _say(problem: str) -> None:
    for line in problem.splitlines():
        print(f"chat: {line}", file=sys.stderr)
