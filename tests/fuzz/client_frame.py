"""A client's text frame: a request that its event can carry, or a refusal that a frame can."""

import json
from typing import get_args

import msgspec

from gateway.socket.client_frame import (
    NONCE_MAX_CHARS,
    Ask,
    BadFrame,
    Earlier,
    Ping,
    RenewToken,
    Request,
    Stop,
    parse,
)
from persister.reading import read
from schemas.events import OnBusy, UserMessage, decode_user_event, encode
from schemas.frames import GatewayErrorCode, Pong, Refused
from schemas.limits import CONTENT_MAX_BYTES, HISTORY_PAGE_MAX, MESSAGE_ID_MAX_CHARS
from schemas.topics import USER_MESSAGES
from tests.fuzz.records import FuzzedRecord

MODELS = ("small", "large")
TOLD_MAX_CHARS = 400


def check(data: bytes) -> None:
    """Hold one frame to what is promised of it."""
    text = data.decode(errors="replace")
    try:
        request = parse(text, MODELS)
    except BadFrame as refusal:
        _check_refusal(refusal)
        return
    assert parse(_frame_of(request), MODELS) == request
    match request:
        case Ask():
            _check_ask(request)
        case Earlier():
            _check_id(request.before)
            assert 1 <= request.limit <= HISTORY_PAGE_MAX
        case Stop():
            _check_id(request.message_id)
        case Ping():
            assert len(str(request.nonce)) <= NONCE_MAX_CHARS
            pong = msgspec.json.encode(Pong(session_id="s", nonce=request.nonce))
            assert json.loads(pong)["nonce"] == request.nonce
        case RenewToken():
            request.token.encode()


def _check_refusal(refusal: BadFrame) -> None:
    assert refusal.code in get_args(GatewayErrorCode)
    assert len(str(refusal)) <= TOLD_MAX_CHARS
    _check_id(refusal.message_id)
    told = Refused(
        session_id="s",
        code=refusal.code,
        message=str(refusal),
        retryable=False,
        message_id=refusal.message_id,
    )
    assert json.loads(msgspec.json.encode(told))["message"] == str(refusal)


def _check_ask(ask: Ask) -> None:
    """Its event is read back as it was, and Postgres takes it."""
    assert 1 <= len(ask.content.encode()) <= CONTENT_MAX_BYTES
    assert ask.on_busy in get_args(OnBusy)
    assert ask.model is None or ask.model in MODELS
    _check_id(ask.message_id)
    event = UserMessage(
        session_id="s",
        message_id=ask.message_id or "m",
        created_at="2026-01-01T00:00:00.000Z",
        content=ask.content,
        on_busy=ask.on_busy,
        model=ask.model,
    )
    value = encode(event)
    assert decode_user_event(value) == event
    assert read(USER_MESSAGES, 0, 1, FuzzedRecord(0, b"s", value)) == event


def _check_id(message_id: str | None) -> None:
    assert message_id is None or 1 <= len(message_id) <= MESSAGE_ID_MAX_CHARS


def _frame_of(request: Request) -> str:
    names = {Ask: "user_message", Stop: "cancel", Ping: "ping"}
    names |= {RenewToken: "token", Earlier: "history"}
    fields = {name: getattr(request, name) for name in type(request).__slots__}
    return json.dumps({"type": names[type(request)], **fields})
