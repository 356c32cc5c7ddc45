"""Where a client wants to go: a cursor, the address of a session, the page that asks for it.

The first byte says which of the three the rest is.
"""

import re
from urllib.parse import quote

from gateway.feed.resume import resume_position
from gateway.socket.address import (
    CURSOR_MAX_CHARS,
    HISTORY_MAX,
    ORIGIN_MAX_CHARS,
    Address,
    BadAddress,
    origin_allowed,
    parse,
)
from schemas import cursor
from schemas.limits import SESSION_ID_MAX_CHARS
from schemas.topics import shard_of

SHARDS = 12
ALLOWED = ("https://chat.example", "null")
SESSION_ID = re.compile(r"[A-Za-z0-9._:-]+", re.ASCII)
LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.ASCII)


def check(data: bytes) -> None:
    """Hold one place to what is promised of it."""
    kind, text = data[:1], data[1:].decode(errors="replace")
    if kind < b"U":
        _check_cursor(text)
    elif kind < b"\xaa":
        _check_address(text)
    else:
        _check_origin(text)


def _check_cursor(text: str) -> None:
    position = resume_position(text, epoch=7, shard=3, end=100)
    try:
        place = cursor.parse(text)
    except cursor.BadCursor:
        assert position is None
        return
    assert cursor.parse(str(place)) == place
    assert place.offset >= -1
    assert place.epoch >= 0
    assert place.shard >= 0
    if position is None:
        assert (place.epoch, place.shard) != (7, 3) or place.offset >= 100
    else:
        assert 0 <= position <= 100
        assert str(place) == f"7.3.{position - 1}"


def _check_address(target: str) -> None:
    try:
        address = parse(target)
    except BadAddress:
        return
    assert SESSION_ID.fullmatch(address.session_id)
    assert len(address.session_id) <= SESSION_ID_MAX_CHARS
    assert 0 <= shard_of(address.session_id, SHARDS) < SHARDS
    assert 0 <= address.history <= HISTORY_MAX
    assert address.cursor is None or len(address.cursor) <= CURSOR_MAX_CHARS
    assert parse(_target_of(address)) == address


def _target_of(address: Address) -> str:
    asked = f"/ws/chat/{address.session_id}/?history={address.history}"
    if not address.cursor:  # an empty one is none in an address, and can't be gone on from anyway
        return asked if address.cursor is None else f"{asked}&cursor={'0' * 65}"
    return f"{asked}&cursor={quote(address.cursor, safe='')}"


def _check_origin(text: str) -> None:
    """Nobody is let in but whom the list names or, without one, the page of the host itself."""
    origin, _, host = text.partition("\n")
    if origin_allowed(origin, host, ALLOWED):
        assert origin.lower() in ALLOWED
    if origin_allowed(origin, host, ()):
        assert len(origin) <= ORIGIN_MAX_CHARS
        assert origin_allowed(origin, host, (), anywhere=True)
        assert host
        assert origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")
        assert LOOPBACK.fullmatch(host.lower())
