"""What clients may do wrong, and what they are told: an error frame, or a close code."""

import pytest

from schemas.limits import FRAME_MAX_BYTES
from tests.integration.gateway.client import Client
from tests.integration.gateway.process import Gateway
from tests.integration.gateway.raw import raw
from tests.integration.gateway.test_floods import masked

UPGRADE = (
    "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("hello", "bad_frame"),
        ("[1]", "bad_frame"),
        ("[" * 50_000, "bad_frame"),
        ('{"type":"shout"}', "unknown_type"),
        ('{"type":"user_message","content":""}', "content_empty"),
        ('{"type":"user_message","content":"' + "x" * 33_000 + '"}', "content_too_long"),
        ('{"type":"user_message","content":"a\\u0000b"}', "bad_frame"),
        ('{"type":"user_message","content":"\\ud800"}', "bad_frame"),
        ('{"type":"user_message","content":"x","message_id":"a b"}', "bad_message_id"),
        ('{"type":"user_message","content":"x","model":"none-such"}', "bad_model"),
        ('{"type":"token","token":"t"}', "unsupported"),
    ],
)
async def test_a_bad_frame_is_refused_and_the_socket_kept(
    gateway: Gateway, session_id: str, frame: str, code: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.send(frame)
        error = await client.got(lambda f: f["type"] == "error")
        assert error["code"] == code
        assert error["message"]
        await client.send({"type": "ping", "nonce": 1})
        await client.got(lambda f: f["type"] == "pong")


async def test_ten_bad_frames_in_a_row_close_with_4005(gateway: Gateway, session_id: str) -> None:
    async with Client(gateway.url, session_id) as client:
        for _ in range(10):
            await client.send("{")
        assert (await client.until_closed())[0] == 4005
        assert len(client.of_type("error")) == 10


async def test_who_goes_on_talking_is_closed_with_4005_too(
    gateway: Gateway, session_id: str
) -> None:
    # Seen: 1000, which tells a client not to come again, for what lay behind the last bad frame
    # ended the connection before its close had begun.
    async with Client(gateway.url, session_id) as client:
        await client.joined()
        client.socket.transport.write(masked(b"{") * 100)
        assert (await client.until_closed())[0] == 4005


async def test_a_binary_frame_closes_with_4005(gateway: Gateway, session_id: str) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.send(b"{}")
        assert (await client.until_closed())[0] == 4005


async def test_too_big_a_frame_closes_with_1009(gateway: Gateway, session_id: str) -> None:
    async with Client(gateway.url, session_id) as client:
        await client.send("x" * (FRAME_MAX_BYTES + 1))
        assert (await client.until_closed())[0] == 1009


@pytest.mark.parametrize("last", [b"\x81\xff" + (1 << 20).to_bytes(8), b"\x88\x80"])
async def test_who_is_closed_and_does_not_go_is_cut(
    gateway: Gateway, session_id: str, last: bytes
) -> None:
    # Seen: who announced a frame of a megabyte was told 1009, and stayed for as long as he wanted.
    before = gateway.metric("connections")
    asked = f"GET /ws/chat/{session_id}/ HTTP/1.1\r\n{UPGRADE}\r\n"
    async with raw(gateway.port, asked.encode()) as (reader, writer):
        while b'"snapshot"' not in await reader.readuntil(b"}"):
            pass
        writer.write(last + bytes(4))
        await reader.read()
        gateway.until(lambda: gateway.metric("connections") <= before)


async def test_the_longest_content_is_taken_however_it_is_written(
    gateway: Gateway, session_id: str
) -> None:
    async with Client(gateway.url, session_id) as client:
        content = "\\u0041" * 32_768
        await client.send(f'{{"type":"user_message","content":"{content}"}}')
        await client.got(lambda f: f.get("state") == "accepted")


@pytest.mark.parametrize("session", ["a%20b", "x" * 256, "é", "a/b"])
async def test_a_bad_session_id_closes_with_4004(gateway: Gateway, session: str) -> None:
    async with Client(gateway.url, session) as client:
        assert (await client.until_closed())[0] == 4004
        assert client.frames == []


async def test_a_wrong_path_closes_with_4004(gateway: Gateway) -> None:
    client = Client(gateway.url, "s")
    client.address = f"{gateway.url}/ws/other/"
    async with client:
        assert (await client.until_closed())[0] == 4004


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_foreign_page_is_closed_with_4003(
    gateway: Gateway, session_id: str, origin: str
) -> None:
    async with Client(gateway.url, session_id, origin=origin) as client:
        assert (await client.until_closed())[0] == 4003
        assert client.frames == []


async def test_the_gateways_own_page_may_connect(gateway: Gateway, session_id: str) -> None:
    own = gateway.url.replace("ws://", "http://")
    async with Client(gateway.url, session_id, origin=own) as client:
        await client.joined()


async def test_an_eleventh_connection_of_a_session_is_closed_with_4009(
    gateway: Gateway, session_id: str
) -> None:
    clients = [Client(gateway.url, session_id) for _ in range(10)]
    try:
        for client in clients:
            await client.__aenter__()
            await client.joined()
        async with Client(gateway.url, session_id) as eleventh:
            code, reason = await eleventh.until_closed()
            assert code == 4009
            assert "retry_after_ms" in str(reason)
    finally:
        for client in clients:
            await client.__aexit__(None, None, None)


def test_plain_requests(gateway: Gateway) -> None:
    assert gateway.get("/healthz")[:2] == (200, "ok\n")
    assert gateway.get("/readyz")[:2] == (200, "ready\n")
    status, page, headers = gateway.get("/")
    assert status == 200
    assert page
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/none.js", "/../settings.py", "/%2e%2e/settings.py", "/page/", "/metrics"):
        assert gateway.get(path)[0] == 404
    assert gateway.metric("connections") >= 0
