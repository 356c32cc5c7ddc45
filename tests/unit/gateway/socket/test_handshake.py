"""Whatever a handshake asks for, it is served or closed with a code: nothing is raised.

Seen: `history=` with 4,301 digits was a ValueError, a traceback and 1011 for each cheap request;
so was an Origin that came twice.
"""

import json
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from gateway.counters import Counters
from gateway.feed.resume import resume_position
from gateway.settings import GatewaySettings
from gateway.socket.address import CURSOR_MAX_CHARS, HISTORY_MAX, QUERY_MAX_CHARS, BadAddress, parse
from gateway.socket.admission import Refusal
from gateway.socket.server import ChatServer
from schemas.close_codes import CloseCode
from tests.unit.gateway.limits.alone import limiter

SOCKET = SimpleNamespace(remote_address=("127.0.0.1", 4711))
CODES = {code: code for code in (CloseCode.FORBIDDEN, CloseCode.BAD_SESSION)}


@pytest.fixture(scope="module")
def server() -> ChatServer:
    settings = GatewaySettings(epoch=1, connections_per_second=0)
    shared = SimpleNamespace(
        followers=SimpleNamespace(people=0),
        tokens=None,
        hook=None,
        limiter=limiter(),
        counters=Counters(),
    )
    return ChatServer(settings, cast(Any, shared), lambda: None)


def admitted(server: ChatServer, target: str, *headers: tuple[str, str]) -> Any:
    """The address, or the code that it is closed with; anything else is raised."""
    request = Request(target, Headers([("Host", "localhost:8000"), *headers]))
    answer = server._answer(cast(Any, SOCKET), request)
    assert answer is not None or any(
        "websocket" in value.lower() for name, value in headers if name == "Upgrade"
    )
    if isinstance(answer, Coroutine):
        answer.close()  # a file of the page, perhaps
    try:
        return server._admission.place(request.headers, target)
    except Refusal as refusal:
        return CODES[refusal.code]


def test_a_number_of_thousands_of_digits_is_the_most() -> None:
    assert parse(f"/ws/chat/s/?history={'9' * 3_900}").history == HISTORY_MAX
    assert parse(f"/ws/chat/s/?history={'0' * 3_900}7").history == 7


@pytest.mark.parametrize("query", [f"history={'9' * QUERY_MAX_CHARS}", "&".join(["a=1"] * 17)])
def test_a_query_without_an_end_is_a_bad_address(query: str) -> None:
    with pytest.raises(BadAddress, match="query"):
        parse(f"/ws/chat/s/?{query}")


def test_an_origin_that_comes_twice_is_none(server: ChatServer) -> None:
    own = ("Origin", "http://localhost:8000")
    assert admitted(server, "/ws/chat/s/", own).session_id == "s"
    assert admitted(server, "/ws/chat/s/", own, own) is CloseCode.FORBIDDEN
    many = [("Upgrade", "websocket"), ("Upgrade", "h2c")]
    assert admitted(server, "/ws/chat/s/", *many).session_id == "s"


@pytest.mark.parametrize(
    ("path", "status"), [("/", 403), ("/chat.js", 403), ("/healthz", 200), ("/nothing", 403)]
)
def test_without_authentication_no_page_is_given_through_a_proxy(
    server: ChatServer, path: str, status: int
) -> None:
    request = Request(path, Headers([("Host", "localhost:8000"), ("X-Forwarded-For", "6.6.6.6")]))
    answer = server._answer(cast(Any, SOCKET), request)
    assert isinstance(answer, Response)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/where/abc123", (200, {"session_id": "abc123", "shard": 3, "shards": 8})),
        ("/where/test%5Fsession/", (200, {"session_id": "test_session", "shard": 3, "shards": 8})),
        ("/where/a%20b", (404, None)),
        (f"/where/{'a' * 256}", (404, None)),
        ("/where/", (404, None)),
    ],
)
def test_whoever_asks_is_told_the_shard_of_a_session(
    server: ChatServer, path: str, told: tuple[int, object]
) -> None:
    answer = server._answer(cast(Any, SOCKET), Request(path, Headers(Host="localhost:8000")))
    assert isinstance(answer, Response)
    body = json.loads(answer.body) if answer.status_code == 200 else None
    assert (answer.status_code, body) == told


said = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=60)
"""What the library lets through as a header's value."""
text = st.text(st.characters(codec="latin-1"), max_size=60)
numbers = st.one_of(text, st.integers().map(str), st.integers(0, 5_000).map(lambda n: "9" * n))
values = st.one_of(text, numbers, text.map(quote))
queries = st.lists(
    st.tuples(st.sampled_from(["cursor", "history", "token", "x", ""]), values), max_size=20
).map(lambda fields: "&".join(f"{name}={value}" for name, value in fields))
names = st.sampled_from(["Origin", "Host", "Upgrade", "Cookie"])


@given(
    st.one_of(text, text.map(lambda each: f"/ws/chat/{each}"), st.just("/ws/chat/s/")),
    st.one_of(text, queries),
    st.lists(
        st.tuples(names, st.one_of(said, st.just("http://[broken"), said.map("http://{}".format))),
        max_size=5,
    ),
)
@example("/ws/chat/s/", f"history={'9' * 4_000}", [])
@example("/ws/chat/s/", "", [("Origin", "http://a"), ("Origin", "http://b")])
@example("/ws/chat/s/", "", [("Origin", "http://localhost:99999999"), ("Host", "[")])
def test_any_handshake_is_served_or_closed_with_a_code(
    server: ChatServer, path: str, query: str, headers: list[tuple[str, str]]
) -> None:
    found = admitted(server, f"{path}?{query}", *headers)
    if not isinstance(found, CloseCode):
        assert 0 <= found.history <= HISTORY_MAX
        assert len(found.cursor or "") <= CURSOR_MAX_CHARS


@given(
    st.one_of(
        st.text(max_size=100),
        st.lists(st.integers(-2, 10**25), min_size=1, max_size=4).map(
            lambda parts: ".".join(map(str, parts))
        ),
        st.tuples(st.just(7), st.just(3), st.integers(-2, 200)).map(
            lambda parts: ".".join(map(str, parts))
        ),
    )
)
@example("7.3." + "9" * 5_000)
@example("\u0667.3.1")
def test_any_cursor_is_a_position_up_to_the_end_or_none(cursor: str) -> None:
    position = resume_position(cursor, epoch=7, shard=3, end=100)
    assert position is None or (0 <= position <= 100 and cursor == f"7.3.{position - 1}")
