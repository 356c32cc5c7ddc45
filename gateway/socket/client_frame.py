"""What a client's text frame asks for: bytes in, a request or a named refusal out. Pure.

Each check answers with the error code of the protocol that tells the client what to change. JSON
is read by hand into plain values and checked field by field, because a schema library would say
only that the whole did not fit.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from schemas.events import OnBusy
from schemas.frames import GatewayErrorCode
from schemas.limits import (
    CONTENT_MAX_BYTES,
    HISTORY_PAGE,
    HISTORY_PAGE_MAX,
    MESSAGE_ID_MAX_CHARS,
)

NONCE_MAX_CHARS = 256
NONCE_MAX = 2**53
"""The largest whole number that JavaScript keeps exactly."""

_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ON_BUSY = get_args(OnBusy)
_decoder = msgspec.json.Decoder()


class BadFrame(ValueError):
    """The frame asks for nothing that can be done; `code` says what to change."""

    def __init__(self, code: GatewayErrorCode, message: str, message_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message_id = message_id


@dataclass(frozen=True, slots=True)
class Ask:
    """`user_message`: answer this."""

    content: str
    message_id: str | None
    on_busy: OnBusy
    model: str | None


@dataclass(frozen=True, slots=True)
class Stop:
    """`cancel`: stop that answer (the running one, if no message is named)."""

    message_id: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    """`ping`: say pong with this nonce."""

    nonce: str | int | float | None


@dataclass(frozen=True, slots=True)
class RenewToken:
    """`token`: go on with this token."""

    token: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """`history`: give finished messages that stand before that one."""

    before: str | None
    limit: int


Request = Ask | Stop | Ping | RenewToken | Earlier


def parse(text: str, models: Collection[str] = ()) -> Request:
    """Read one text frame; `models` are those a client may ask for.

    Raises:
        BadFrame: with the error code for the client.
    """
    frame = _object(text)
    kind = frame.get("type")
    if not isinstance(kind, str):
        raise BadFrame("bad_frame", "type is missing or no string")
    reader = _READERS.get(kind)
    if reader is None:
        raise BadFrame("unknown_type", f"unknown type {kind[:40]!r}")
    return reader(frame, models)


def _object(text: str) -> Mapping[str, Any]:
    try:
        frame = _decoder.decode(text)
    except RecursionError:
        raise BadFrame("bad_frame", "nested too deeply") from None
    except msgspec.DecodeError as error:
        raise BadFrame("bad_frame", _why_undecodable(text, error)) from None
    if not isinstance(frame, dict):
        raise BadFrame("bad_frame", "not a JSON object")
    return frame


def _why_undecodable(text: str, error: msgspec.DecodeError) -> str:
    """Tell what the fast decoder does not: it calls a lone surrogate truncated input."""
    if not isinstance(error, msgspec.ValidationError):
        try:
            json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return f"not JSON: {error}"[:200]
        return "a lone surrogate is not Unicode text"
    return f"not JSON: {error}"[:200]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _ask(frame: Mapping[str, Any], models: Collection[str]) -> Ask:
    message_id = _message_id(frame)
    content = frame.get("content")
    if not isinstance(content, str):
        raise BadFrame("bad_frame", "content is missing or no string", message_id)
    if "\0" in content:
        raise BadFrame("bad_frame", "content holds a NUL character", message_id)
    if not content.strip():
        raise BadFrame("content_empty", "content is empty", message_id)
    size = len(content.encode())
    if size > CONTENT_MAX_BYTES:
        limit = f"content has {size} bytes, the limit is {CONTENT_MAX_BYTES}"
        raise BadFrame("content_too_long", limit, message_id)
    on_busy = frame.get("on_busy", "enqueue")
    if on_busy not in _ON_BUSY:
        raise BadFrame("bad_frame", f"on_busy is none of {', '.join(_ON_BUSY)}", message_id)
    model = frame.get("model")
    if model is not None and not (isinstance(model, str) and model in models):
        raise BadFrame("bad_model", f"no such model {str(model)[:80]!r}", message_id)
    return Ask(content, message_id, on_busy, model)


def _stop(frame: Mapping[str, Any], _: Collection[str]) -> Stop:
    return Stop(_message_id(frame))


def _ping(frame: Mapping[str, Any], _: Collection[str]) -> Ping:
    nonce = frame.get("nonce")
    if nonce is not None and not isinstance(nonce, str | int | float):
        raise BadFrame("bad_frame", "nonce is neither string nor number")
    if len(str(nonce)) > NONCE_MAX_CHARS or (isinstance(nonce, int) and abs(nonce) > NONCE_MAX):
        raise BadFrame("bad_frame", "nonce is too long")
    return Ping(nonce)


def _token(frame: Mapping[str, Any], _: Collection[str]) -> RenewToken:
    token = frame.get("token")
    if not isinstance(token, str):
        raise BadFrame("bad_frame", "token is missing or no string")
    return RenewToken(token)


def _earlier(frame: Mapping[str, Any], _: Collection[str]) -> Earlier:
    limit = frame.get("limit", HISTORY_PAGE)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= HISTORY_PAGE_MAX:
        raise BadFrame("bad_frame", f"limit is not 1 to {HISTORY_PAGE_MAX}")
    return Earlier(_message_id(frame, "before"), limit)


def _message_id(frame: Mapping[str, Any], field: str = "message_id") -> str | None:
    message_id = frame.get(field)
    if message_id is None:
        return None
    if (
        not isinstance(message_id, str)
        or len(message_id) > MESSAGE_ID_MAX_CHARS
        or not _MESSAGE_ID.fullmatch(message_id)
    ):
        raise BadFrame(
            "bad_message_id", f"{field} is not 1 to {MESSAGE_ID_MAX_CHARS} of A-Za-z0-9_-"
        )
    return message_id


_READERS: Mapping[str, Callable[[Mapping[str, Any], Collection[str]], Request]] = {
    "user_message": _ask,
    "cancel": _stop,
    "ping": _ping,
    "token": _token,
    "history": _earlier,
}
