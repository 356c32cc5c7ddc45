"""The frames that a client sends; a gateway reads them field by field, to name what is wrong.

Written here for clients in Python and for the JSON Schemas; a test holds the gateway's reading to
them.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from schemas.events import MessageId, OnBusy
from schemas.limits import CONTENT_MAX_BYTES, HISTORY_PAGE, HISTORY_PAGE_MAX


class Request(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """What every request is: one JSON object whose `type` says what is asked."""


class Ask(Request, frozen=True, kw_only=True, tag="user_message"):
    """Answer this. `message_id` makes it one message however often it is sent."""

    content: Annotated[
        str, Meta(min_length=1, description=f"not blank, at most {CONTENT_MAX_BYTES} bytes, no NUL")
    ]
    message_id: MessageId | None = None
    on_busy: OnBusy = "enqueue"
    model: str | None = None


class Stop(Request, frozen=True, kw_only=True, tag="cancel"):
    """Stop that answer and keep its text; the running one, if no message is named."""

    message_id: MessageId | None = None


class Ping(Request, frozen=True, kw_only=True, tag="ping"):
    """Say pong with this nonce."""

    nonce: str | int | float | None = None


class RenewToken(Request, frozen=True, kw_only=True, tag="token"):
    """Go on with this token; the one before expires."""

    token: str


class Earlier(Request, frozen=True, kw_only=True, tag="history"):
    """Give finished messages that stand before that one; the newest, if none is named."""

    before: MessageId | None = None
    limit: Annotated[int, Meta(ge=1, le=HISTORY_PAGE_MAX)] = HISTORY_PAGE


REQUESTS = (Ask, Stop, Ping, RenewToken, Earlier)
_encoder = msgspec.json.Encoder()


def encode(request: Request) -> str:
    """Give the request as the text of one frame."""
    return _encoder.encode(request).decode()
