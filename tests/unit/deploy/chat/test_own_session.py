"""A new chat in the terminal is one that the token allows."""

import json

import pytest

from deploy.chat.link import Address
from deploy.chat.own_session import session_for
from tests.unit.gateway.identity.minted import part


@pytest.mark.parametrize(
    ("claims", "session_id"),
    [
        ({"sessions": ["alice-*"]}, "alice-new"),
        ({"sub": "ali", "sessions": ["room", "{sub}:*"]}, "ali:new"),
        ({"sessions": ["a*b*c"]}, "anewbc"),
        ({"sessions": ["room"]}, "room"),
        ({"sessions": "alice-*"}, "chat-new"),
        ({}, "chat-new"),
        ([], "chat-new"),
    ],
)
def test_the_first_pattern_names_it(claims: object, session_id: str) -> None:
    assert session_for(f"h.{part(json.dumps(claims).encode())}.s", "new") == session_id


@pytest.mark.parametrize("token", ["", "none", "a.!.c", "a.AAAA.c"])
def test_without_a_token_it_is_any(token: str) -> None:
    assert session_for(token, "new") == "chat-new"


def test_the_shard_is_named_when_it_is_known() -> None:
    address = Address("http://x", "test_session", 0)
    assert address.with_cursor(None) == "ws://x/ws/chat/test_session/?history=0"
    assert address.with_cursor(None, 8) == "ws://x/ws/chat/test_session/?history=0&shard=3"


def test_the_token_is_neither_in_the_address_nor_shown() -> None:
    address = Address("ws://x", "s", 5, "secret")
    assert "secret" not in address.with_cursor("1.0.5")
    assert "secret" not in repr(address)
    assert address.headers() == {"Authorization": "Bearer secret"}
    assert Address("ws://x", "s", 0).headers() == {}
