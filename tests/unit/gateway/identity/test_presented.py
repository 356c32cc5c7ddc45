"""Where a handshake's token may be."""

import pytest

from gateway.identity.presented import token_of, told_headers


@pytest.mark.parametrize(
    ("target", "authorization", "token"),
    [
        ("/ws/chat/s/", [], None),
        ("/ws/chat/s/?token=q", [], "q"),
        ("/ws/chat/s/?cursor=1.0.1&token=q", [], "q"),
        ("/ws/chat/s/?token=", [], None),
        ("/ws/chat/s/", ["Bearer h"], "h"),
        ("/ws/chat/s/", ["bearer  h "], "h"),
        ("/ws/chat/s/?token=q", ["Bearer h"], "h"),
        ("/ws/chat/s/?token=q", ["Basic dTpw"], "q"),
        ("/ws/chat/s/", ["Basic dTpw", "Bearer h"], "h"),
        ("/ws/chat/s/", ["Bearer h", "Bearer i"], ""),
        ("/ws/chat/s/", ["Bearer"], None),
        ("/ws/chat/s/?token=q&token=r", [], "q"),
    ],
)
def test_header_then_query(target: str, authorization: list[str], token: str | None) -> None:
    assert token_of(target, authorization) == token


def test_headers_are_told_as_they_were_sent() -> None:
    sent = {
        "cookie": ["a=1", "b=2"],
        "origin": ["x", "y"],
        "name": ["J\xc3\xbcrgen"],
        "odd": ["\xff"],
    }
    names = ["cookie", "origin", "name", "odd", "absent"]
    assert told_headers(names, lambda name: sent.get(name, [])) == {
        "cookie": "a=1; b=2",
        "origin": "x, y",
        "name": "Jürgen",
        "odd": "ÿ",
    }
