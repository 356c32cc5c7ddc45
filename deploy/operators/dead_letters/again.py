"""What goes back for a dead letter, or why nothing does. Pure.

A redrive must have one effect however often it is asked for, and whenever it was killed. So what
goes back always has an id that the same letter gives again, and the workers join what has the same
id:

* A message that exhausted its retries has its end already, and everything that follows an end is
  ignored. It goes back under another id, made from its session and its own: one new message,
  whichever of its letters is redriven. If that one fails as well, its letter gives a third.
* Any other message or cancel goes back as it was: one that never ended gets its answer, one that
  did is ignored.
* A record that can't be read has no id. It goes back, as it was, only if that is insisted on: after
  its reader was mended, its own id makes it one message; until then it is only another dead letter.
* Nothing goes back of a session that was forgotten since: it would be a new message.
* Nothing is put into the session log by hand: it would be an event that no worker stands for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from deploy.operators.dead_letters.letter import Letter
from schemas.events import Cancel, UserEvent, UserMessage, encode
from schemas.topics import HEADERS, SESSION_LOG, USER_MESSAGES, shard_of


@dataclass(frozen=True, slots=True)
class Again:
    """The record that goes back; `message_id` is None if its value can't be read."""

    topic: str
    shard: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    message_id: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing goes back, and why."""

    why: str


def again(
    letter: Letter,
    shards: int,
    now: str,
    *,
    force: bool,
    forgotten: Mapping[str, int] | None = None,
) -> Again | Refused:
    """Give what goes back for a letter; `now` is the time of the redrive, ISO 8601.

    `forgotten` are sessions, and up to which offset of user_messages all of them is forgotten.
    """
    if letter.topic == SESSION_LOG:
        return Refused(f"nothing is put into {SESSION_LOG} by hand")
    if letter.topic != USER_MESSAGES:
        return Refused(f"its topic {letter.topic!r} is not one that anything can go back to")
    event = letter.event()
    if isinstance(event, UserMessage) and not event.content:
        return Refused("it has no content: there is nothing to answer")
    if event is not None and _is_before(letter, (forgotten or {}).get(event.session_id, 0)):
        return Refused("its session was forgotten after this was said")
    if isinstance(event, UserMessage | Cancel):
        return _known(letter, event, shards, now)
    if not force:
        return Refused("it can't be read, and would come back as a dead letter: --force insists")
    if not letter.partition.isdecimal() or int(letter.partition) >= shards:
        return Refused(f"its partition {letter.partition!r} is not one of {USER_MESSAGES}")
    shard = int(letter.partition)
    return Again(USER_MESSAGES, shard, letter.key, letter.value, _headers(letter), None)


def new_id(session_id: str, message_id: str) -> str:
    """Give the id of a message's second life, always the same."""
    digest = hashlib.blake2b(f"{session_id}/{message_id}".encode(), digest_size=16)
    return f"redriven-{digest.hexdigest()}"


def _known(letter: Letter, event: UserEvent, shards: int, now: str) -> Again:
    value = letter.value
    if letter.exhausted and isinstance(event, UserMessage):
        # The time is that of the redrive: the new message stands at the end of its session. It
        # waits its turn, so that it neither interrupts nor is refused for what people ask now.
        event = msgspec.structs.replace(
            event,
            message_id=new_id(event.session_id, event.message_id),
            created_at=now,
            on_busy="enqueue",
        )
        value = encode(event)
    key = event.session_id.encode()
    shard = shard_of(event.session_id, shards)
    return Again(USER_MESSAGES, shard, key, value, _headers(letter), event.message_id)


def _is_before(letter: Letter, offset: int) -> bool:
    return letter.offset.isdecimal() and int(letter.offset) < offset


def _headers(letter: Letter) -> tuple[tuple[str, bytes], ...]:
    return letter.headers or HEADERS
