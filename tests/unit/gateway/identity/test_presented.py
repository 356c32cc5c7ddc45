"""Where a handshake's token may be."""

import pytest

from gateway.identity.presented import token_of


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
