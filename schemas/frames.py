"""The frames that only the gateway says; every other frame is an event of the log with its cursor.

A frame without message_id or cursor ends nothing. Fields that may be null are always written, so
that a reader need not know the defaults.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from schemas.events import Timing, Usage
from schemas.transcript import Message, MessageState

GatewayErrorCode = Literal[
    "bad_frame",
    "unknown_type",
    "content_empty",
    "content_too_long",
    "bad_message_id",
    "message_id_reused",
    "bad_model",
    "forbidden",
    "nothing_to_cancel",
    "rate_limited",
    "busy",
    "outcome_unknown",
    "unavailable",
    "unsupported",
]


class Frame(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every frame carries."""

    session_id: str


class Connected(Frame, frozen=True, kw_only=True, tag="status"):
    """The connection has its position; `recovered` is null if no cursor was given.

    `shards`: so many there are. A client that names its session's in the address (`shard`) lets a
    balancer bring the sockets of a shard together.
    """

    state: Literal["connected"] = "connected"
    recovered: bool | None
    epoch: int
    shards: int


class Accepted(Frame, frozen=True, kw_only=True, tag="status"):
    """The broker has acknowledged the message; `duplicate` if it had done so before."""

    state: Literal["accepted"] = "accepted"
    message_id: str
    duplicate: bool
    created_at: str


class Queued(Frame, frozen=True, kw_only=True, tag="status"):
    """An accepted message waits for a worker with room: it is the `position`-th, for about so long.

    Not to be taken for the log's own `queued` of a message behind others of its session: that has a
    cursor. This one changes nothing.
    """

    state: Literal["queued"] = "queued"
    message_id: str
    position: int
    eta_ms: int


class HistoryUnavailable(Frame, frozen=True, kw_only=True, tag="status"):
    """The snapshot can't be made now; it follows, live frames go on."""

    state: Literal["history_unavailable"] = "history_unavailable"


class Reconnect(Frame, frozen=True, kw_only=True, tag="status"):
    """This gateway goes away soon: connect again, after about so long."""

    state: Literal["reconnect"] = "reconnect"
    after_ms: int


class Refused(Frame, frozen=True, kw_only=True, tag="error"):
    """A frame of the client was refused; `message_id` names the message that failed, if one did.

    `retry_after_ms` is there if it is known when the same frame can succeed; `limit` if a limit was
    met: its name.
    """

    code: GatewayErrorCode
    message: str
    retryable: bool
    message_id: str | None = None
    retry_after_ms: int | None = None
    limit: str | None = None


class Heartbeat(Frame, frozen=True, kw_only=True, tag="heartbeat"):
    """Nothing was said for a while; the cursor keeps an idle session's place from ageing."""

    cursor: str


class Pong(Frame, frozen=True, kw_only=True, tag="pong"):
    """The answer to a ping."""

    nonce: str | int | float | None


class SnapshotPrompt(Struct, frozen=True, kw_only=True, tag_field="role", tag="user"):
    """What the user said. In a snapshot it stands before the answer's entry."""

    message_id: str
    content: str
    created_at: str
    state: MessageState


class SnapshotAnswer(Struct, frozen=True, kw_only=True, tag_field="role", tag="assistant"):
    """The fold's state of one message, whole: folding on from it is as if nothing were left out.

    `content` is the answer's text so far; while an attempt that `continues` another has no chunk
    yet (`last_sequence` 0), the text of that one. `reasoning` is what it thought aloud so far.
    """

    message_id: str
    content: str
    state: MessageState
    attempt: str | None
    fence: tuple[int, int, int] | None
    starts: int
    unended_starts: int
    last_sequence: int
    last_reasoning_sequence: int = 0
    released: bool
    damaged: bool
    position: int | None = None
    cancelling: str | None = None
    finish_reason: str | None = None
    code: str | None = None
    message: str | None = None
    retryable: bool | None = None
    usage: Usage | None = None
    timing: Timing | None = None
    history: str | None = None
    model: str | None = None
    worker: str | None = None
    continues: str | None = None
    tool_calls_ignored: int = 0
    reasoning: str = ""


AS_IN_THE_FOLD = tuple(
    name
    for name in SnapshotAnswer.__struct_fields__
    if name in {field.name for field in dataclasses.fields(Message)}
)
"""What an answer's entry has under the same name, and as the same value, as the fold's message."""


class Snapshot(Frame, frozen=True, kw_only=True, tag="snapshot"):
    """The fold's state of the session at the cursor; it replaces what the client held.

    `more`: there are finished messages that it does not hold; a `history` request gives them.
    `forgotten_before`: the session was erased; what was said before that offset counts no more.
    """

    cursor: str
    messages: Sequence[SnapshotPrompt | SnapshotAnswer]
    ended: Sequence[str]
    more: bool = False
    forgotten_before: int | UnsetType = UNSET


class History(Frame, frozen=True, kw_only=True, tag="history"):
    """Finished messages that stand before `before`, oldest first; `more`: there are older ones."""

    before: str | None
    messages: Sequence[SnapshotPrompt | SnapshotAnswer]
    more: bool


_encoder = msgspec.json.Encoder()


def encode(frame: Frame) -> bytes:
    """Give the frame as one JSON object."""
    return _encoder.encode(frame)
