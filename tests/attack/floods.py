"""Harm by somebody who is let in: every frame that a client may say, and some that it may not.

Each flood lasts FLOOD_S on a socket, then the next begins: a limit of a minute is met for ever so.
"""

import asyncio
import json
from collections.abc import Sequence
from itertools import count

from websockets.frames import Opcode

from tests.attack.foe import Attack, Foe, limit_send_buffer, masked, said

FLOOD_S = 5.0
AT_ONCE = 20
"""Frames that go out together."""
MESSAGE = "go [[tokens=20]]"


class Flood(Attack):
    """Frames of one kind on a socket, as many as go out. `frames` makes the next ones."""

    async def once(self, foe: Foe, number: int) -> None:
        async with foe.socket(foe.session(number)) as socket, asyncio.TaskGroup() as tasks:
            limit_send_buffer(socket)
            hearing = tasks.create_task(foe.hear(socket))
            loop = asyncio.get_running_loop()
            end = loop.time() + FLOOD_S
            for turn in count():
                if loop.time() > end or hearing.done():
                    break
                await foe.flood(socket, self.frames(foe, turn))
            hearing.cancel()

    def frames(self, foe: Foe, turn: int) -> Sequence[bytes]:
        """Give what is said next."""
        raise NotImplementedError


class Says(Flood):
    """Messages."""

    name = "messages"
    tried = "new messages without an end"
    ends = frozenset(
        {
            "error rate_limited messages_per_minute",
            "error rate_limited user_messages_per_minute",
            "error rate_limited address_messages_per_minute",
        }
    )

    def frames(self, foe: Foe, turn: int) -> Sequence[bytes]:
        return [said(type="user_message", content=MESSAGE) for _ in range(AT_ONCE)]


class Repeats(Flood):
    """The same message."""

    name = "duplicates"
    tried = "the same message, and its id, again and again"
    ends = frozenset({"accepted duplicate", "error message_id_reused"})

    def frames(self, foe: Foe, turn: int) -> Sequence[bytes]:
        content = MESSAGE if turn % 2 else "another text"
        frame = said(type="user_message", message_id="the-same", content=content)
        return [frame] * AT_ONCE


class Pings(Flood):
    """Pings."""

    name = "pings"
    tried = "pings without an end: nothing is refused, they are read later"
    ends = frozenset({"held back"})

    def frames(self, foe: Foe, turn: int) -> Sequence[bytes]:
        return [said(type="ping", nonce="x" * 60) * (10 * AT_ONCE)]


class Cancels(Flood):
    """Stops of what is not there."""

    name = "cancels"
    tried = "stops of messages that nobody said"
    ends = frozenset({"error nothing_to_cancel"})

    def frames(self, foe: Foe, turn: int) -> Sequence[bytes]:
        return [said(type="cancel", message_id=f"m{turn}-{n}") for n in range(AT_ONCE)]


class Histories(Flood):
    """Pages of what was said."""

    name = "history"
    tried = "pages of older messages"
    ends = frozenset({"error rate_limited address_reads_per_minute"})
    at_once = 8

    def frames(self, foe: Foe, turn: int) -> Sequence[bytes]:
        return [said(type="history", before=f"m{n}", limit=100) for n in range(AT_ONCE)]


class Tokens(Flood):
    """Tokens on an open socket."""

    name = "token frames"
    tried = "new tokens on an open socket, forged ones at last"
    ends = frozenset({"close 4001"})

    def frames(self, foe: Foe, turn: int) -> Sequence[bytes]:
        good = foe.person.token()
        return [said(type="token", token=good if turn < 1 else f"{good}x")]


class BadFrames(Flood):
    """What is no frame."""

    name = "bad JSON"
    tried = "no JSON, nested without an end, unknown types, numbers that are none"
    ends = frozenset({"close 4005"})

    def frames(self, foe: Foe, turn: int) -> Sequence[bytes]:
        texts = ("{", "[" * 5_000, '"type"', '{"type":"ping","nonce":NaN}', '{"type":"x"}', "")
        return [masked(foe.chance.choice(texts).encode()) for _ in range(AT_ONCE)]


class Binary(Flood):
    """Bytes."""

    name = "binary frames"
    tried = "frames of bytes"
    ends = frozenset({"close 4005"})

    def frames(self, foe: Foe, turn: int) -> Sequence[bytes]:
        return [masked(foe.chance.randbytes(100), Opcode.BINARY)] * AT_ONCE


class Megabytes(Flood):
    """Frames that are too big."""

    name = "megabyte frames"
    tried = "a message of a megabyte"
    ends = frozenset({"close 1009"})
    pause_s = 0.5
    _frame = masked(json.dumps({"type": "user_message", "content": "x" * 1_000_000}).encode())

    def frames(self, foe: Foe, turn: int) -> Sequence[bytes]:
        return [self._frame]


FLOODS = (Says, Repeats, Pings, Cancels, Histories, Tokens, BadFrames, Binary, Megabytes)
