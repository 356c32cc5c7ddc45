"""What an address asks for, and which origins may ask."""

import pytest

from gateway.socket.address import Address, BadAddress, origin_allowed, parse


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("/ws/chat/test_session/", Address("test_session", None, 0)),
        ("/ws/chat/test_session", Address("test_session", None, 0)),
        ("/ws/chat/a.b-C_9:1/?cursor=1.2.3", Address("a.b-C_9:1", "1.2.3", 0)),
        ("/ws/chat/a%3Ab/?history=20", Address("a:b", None, 20)),
        ("/ws/chat/a/?history=-1&cursor=", Address("a", None, 0)),
        ("/ws/chat/a/?history=99999999", Address("a", None, 1000)),
        ("/ws/chat/a/?history=x", Address("a", None, 0)),
        (f"/ws/chat/{'x' * 255}/", Address("x" * 255, None, 0)),
    ],
)
def test_addresses(target: str, address: Address) -> None:
    assert parse(target) == address


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/ws/chat/",
        "/ws/chat//",
        "/ws/chat/a/b",
        "/ws/other/a/",
        "/ws/chat/a%20b/",
        "/ws/chat/a%2Fb/",
        "/ws/chat/é/",
        "/ws/chat/a%00/",
        "/ws/chat/a%0A/",
        f"/ws/chat/{'x' * 256}/",
        "//[bad/ws/chat/a",
    ],
)
def test_no_session_is_there(target: str) -> None:
    with pytest.raises(BadAddress):
        parse(target)


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "may"),
    [
        (None, "localhost:8000", (), True),
        ("http://localhost:8000", "localhost:8000", (), True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", (), True),
        ("http://[::1]:8000", "[::1]:8000", (), True),
        ("http://LOCALHOST:8000", "localhost:8000", (), True),
        ("http://localhost:9000", "localhost:8000", (), False),
        ("http://evil.example:8000", "localhost:8000", (), False),
        ("http://evil.example:8000", "evil.example:8000", (), False),
        ("http://[::1]88000", "[::1]88000", (), False),
        ("http://a@localhost:8000", "a@localhost:8000", (), False),
        ("http://127.0.0.5:8000", "127.0.0.5:8000", (), False),
        ("http://[0:0::1]:8000", "[0:0::1]:8000", (), False),
        ("null", "localhost:8000", (), False),
        ("http://localhost:8000", None, (), False),
        ("https://chat.example", "gateway.example", {"https://chat.example"}, True),
        ("http://chat.example", "gateway.example", {"https://chat.example"}, False),
        ("http://localhost:8000", "localhost:8000", {"https://chat.example"}, False),
        ("http://[broken", "localhost:8000", (), False),
        ("http://[broken", "[broken", (), False),
        ("//localhost:8000", "localhost:8000", (), False),
        ("\0//localhost:8000", "localhost:8000", (), False),
        ("http://local\thost:8000", "localhost:8000", (), False),
        ("ftp://localhost:8000", "localhost:8000", (), False),
    ],
)
def test_which_pages_may_connect(
    origin: str | None, host: str | None, allowed: set[str], may: bool
) -> None:
    assert origin_allowed(origin, host, allowed) is may


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        ("https://chat.example", "chat.example", True),
        ("https://chat.example:8443", "chat.example:8443", True),
        ("https://evil.example", "chat.example", False),
        ("null", "chat.example", False),
        ("", "", False),
        ("https://", "", False),
    ],
)
def test_where_tokens_are_asked_for_the_own_page_may_be_anywhere(
    origin: str, host: str, may: bool
) -> None:
    assert origin_allowed(origin, host, (), anywhere=True) is may
    assert origin_allowed(origin, host, {"https://other.example"}, anywhere=True) is False
