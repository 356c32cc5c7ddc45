"""A session's messages as text that people read: the same from the topic and from Postgres. Pure.

What the user said stands behind `> `, what the model thought aloud behind `| `, the answer as the
model wrote it, and below it one line that says how it ended. Whatever the source, what is printed
is the fold's state, so two sources that differ by a character differ here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from schemas.transcript import Message

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def conversation(messages: Iterable[Message]) -> Iterator[str]:
    """Give the lines of the whole conversation, oldest message first."""
    for number, message in enumerate(messages):
        if number:
            yield ""
        yield from _message(message)


def harmless(line: str) -> str:
    """Take out what would steer a terminal: a model's text must not move the cursor."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", line)


def ending(message: Message) -> str:
    """Say in a few words how far a message has come."""
    words = [message.message_id, _how(message)]
    if message.starts > 1:
        words.append(f"started {message.starts} times")
    if message.damaged:
        words.append("damaged: a chunk is missing")
    return " · ".join(words)


def _message(message: Message) -> Iterator[str]:
    prompt = message.prompt.content if message.prompt else ""
    yield from (f"> {line}" for line in prompt.split("\n"))
    if message.reasoning:
        yield ""
        yield from (f"| {line}" for line in message.reasoning.split("\n"))
    if message.text:
        yield ""
        yield from message.text.split("\n")
    yield ""
    yield f"-- {ending(message)}"


def _how(message: Message) -> str:
    if message.error is not None:
        return f"error {message.error.code}: {message.error.message}"
    if message.state == "complete":
        return f"complete, {message.finish_reason}"
    return "released, waits for its next start" if message.released else message.state
