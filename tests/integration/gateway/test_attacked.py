"""Who reaches the port and means no good: other sites, odd methods, joins that leave at once."""

import asyncio
import contextlib
import urllib.error
import urllib.request
from collections.abc import Mapping

import pytest
from websockets.asyncio.client import connect

from tests.integration.gateway.client import Client
from tests.integration.gateway.process import Gateway
from tests.integration.gateway.raw import raw, until_gone
from tests.waiting import WITHIN_S


async def test_a_name_that_was_made_to_resolve_here_is_no_own_page(
    gateway: Gateway, session_id: str
) -> None:
    # Host and Origin are alike then, as of a page of the gateway's own.
    name = f"evil.example:{gateway.port}"
    async with connect(
        f"ws://{name}/ws/chat/{session_id}/",
        host="127.0.0.1",
        port=gateway.port,
        origin=f"http://{name}",  # type: ignore[arg-type]
    ) as socket:
        await asyncio.wait_for(socket.wait_closed(), WITHIN_S)
        assert socket.close_code == 4003


async def test_what_sends_no_origin_is_no_browser(gateway: Gateway, session_id: str) -> None:
    async with Client(gateway.url, session_id, origin=None) as client:
        await client.joined()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "GE T"])
async def test_only_get_is_answered_and_nothing_is_given_back(
    gateway: Gateway, method: str
) -> None:
    secret = b"x-secret: never-to-be-echoed"
    said = method.encode() + b" / HTTP/1.1\r\nHost: localhost\r\n" + secret + b"\r\n\r\n"
    async with raw(gateway.port, said) as (reader, _):
        answer = await until_gone(reader)
    # Seen: the library takes any method, and the page was the answer to all of them.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 405 Method Not Allowed")
    assert b"echoed" not in answer
    assert gateway.get("/healthz")[0] == 200


def headers_of(gateway: Gateway, path: str, **sent: str) -> Mapping[str, str]:
    named = {name.replace("_", "-"): value for name, value in sent.items()}
    asked = urllib.request.Request(f"http://127.0.0.1:{gateway.port}{path}", headers=named)
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(asked) as answer:
        return dict(answer.headers)
    return {}


def test_every_answer_says_what_a_browser_may_do_with_it(gateway: Gateway) -> None:
    page = headers_of(gateway, "/")
    assert "camera=()" in page["Permissions-Policy"]
    assert "frame-ancestors 'none'" in page["Content-Security-Policy"]
    for path in ("/", "/chat.js", "/healthz"):
        told = headers_of(gateway, path)
        assert told["Cross-Origin-Resource-Policy"] == "same-origin"
        assert told["X-Content-Type-Options"] == "nosniff"
        assert "Strict-Transport-Security" not in told  # it came without TLS
        assert "Server" not in told


async def test_joins_that_leave_at_once_leave_nothing_behind(
    gateway: Gateway, session_id: str
) -> None:
    async def come_and_go(number: int) -> None:
        for _ in range(10):
            socket = await connect(f"{gateway.url}/ws/chat/{session_id}-{number}/?history=100")
            socket.transport.abort()

    before = gateway.metric("connections")
    await asyncio.gather(*(come_and_go(number) for number in range(20)))
    gateway.until(lambda: gateway.metric("connections") <= before)
    async with Client(gateway.url, f"{session_id}-0") as client:
        await client.joined()


async def test_head_is_a_get_without_its_body(gateway: Gateway) -> None:
    async with raw(gateway.port, b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as (one, _):
        answer = await until_gone(one)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Content-Length: 3\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
