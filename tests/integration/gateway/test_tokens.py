"""A gateway that asks for tokens: let in, refused, expired in mid-answer, with fewer rights."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.identity.signature import secret_key, signed
from schemas.events import Cancel, UserMessage
from tests.integration.gateway.client import Client
from tests.integration.gateway.process import Gateway, running_gateway, starting_gateway
from tests.integration.gateway.writer import Writer, chunks, complete, published, start
from tests.stack import RunningStack
from tests.unit.gateway.identity.minted import SECRET, Owner, owner
from tests.unit.gateway.identity.minted import published as key_set
from tests.waiting import POLL_S, WITHIN_S

KEY = secret_key(SECRET, "HS256")


def claims(session_id: str, **other: Any) -> dict[str, Any]:
    good = {"sub": "alice", "exp": time.time() + 3600, "sessions": [f"{session_id}*"]}
    return {name: value for name, value in (good | other).items() if value is not None}


def token(session_id: str, **other: Any) -> str:
    return signed(claims(session_id, **other), KEY)


def bearing(gateway: Gateway, session_id: str, minted: str, query: str = "") -> Client:
    headers = {"Authorization": f"Bearer {minted}"}
    return Client(gateway.url, session_id, query, additional_headers=headers)


@pytest.fixture(scope="module")
def asking(servers: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """It listens everywhere, as one for others does; its canary has to find in all the same."""
    output = tmp_path_factory.mktemp("asking") / "log"
    settings = {"AUTH": "jwt", "JWT_SECRET": SECRET, "JWT_LEEWAY_S": "0", "HOST": "0.0.0.0"}
    named = {f"TALKLOG_{name}": value for name, value in settings.items()}
    with running_gateway(servers, output, **named) as running:
        yield running


async def test_who_says_it_is_in_the_log_and_its_canary_comes_back(
    asking: Gateway, servers: RunningStack, session_id: str
) -> None:
    async with bearing(asking, session_id, token(session_id)) as client:
        await client.joined()
        await client.send({"type": "user_message", "content": "Hello", "message_id": "m1"})
        await client.got(lambda f: f.get("state") == "accepted")
        await client.send({"type": "cancel", "message_id": "m1"})
        await client.send({"type": "ping", "nonce": 1})
        await client.got(lambda f: f["type"] == "pong")
    said, stopped = await published(servers.file.kafka, session_id)
    assert isinstance(said, UserMessage)
    assert isinstance(stopped, Cancel)
    assert (said.user, stopped.user) == ("alice", "alice")
    asking.until(lambda: asking.metric("canary_round_trip_seconds") > 0)
    assert asking.health() == "ready\n"


async def test_anothers_session_and_none_are_the_same(
    asking: Gateway, writer: Writer, session_id: str
) -> None:
    await writer.answer(f"bob-{session_id}", "m1", ["private"])
    told = []
    for other in (f"bob-{session_id}", f"nobody-{session_id}"):
        for query in ("", "?history=5", f"?cursor={writer.cursor(other, 0)}"):
            async with bearing(asking, other, token(session_id), query) as client:
                told.append((await client.until_closed(), client.frames))
    assert set(map(str, told)) == {str(((4003, "this session is none of yours"), []))}


@pytest.mark.parametrize("way", ["query", "frame"])
async def test_a_browser_brings_it_in_the_address_or_as_the_first_frame(
    asking: Gateway, session_id: str, way: str
) -> None:
    minted = token(session_id)
    async with Client(asking.url, session_id, f"?token={minted}" if way == "query" else "") as one:
        if way == "frame":
            await one.send({"type": "token", "token": minted})
        await one.joined()
    assert minted.split(".")[2] not in asking.output.read_text()


@pytest.mark.parametrize(
    ("minted", "why"),
    [
        (token("", exp=1), "expired"),
        (signed(claims(""), secret_key(SECRET + "!", "HS256")), "signature"),
        (owner("ES256").sign(claims("")), "alg"),
        ("", "no signed token"),
    ],
)
async def test_a_bad_token_is_closed_with_4001(
    asking: Gateway, session_id: str, minted: str, why: str
) -> None:
    async with Client(asking.url, session_id) as client:
        await client.send({"type": "token", "token": minted})
        code, reason = await client.until_closed()
    assert code == 4001
    assert why in (reason or "")


async def test_what_comes_before_the_token_is_not_answered(
    asking: Gateway, servers: RunningStack, session_id: str
) -> None:
    async with Client(asking.url, session_id) as client:
        await client.send({"type": "user_message", "content": "Hello"})
        assert (await client.until_closed())[0] == 4001
    assert client.frames == []
    assert await published(servers.file.kafka, session_id) == []


async def test_who_never_says_who_he_is_is_closed(asking: Gateway, session_id: str) -> None:
    async with Client(asking.url, session_id) as client:
        assert await client.until_closed() == (4001, "no token came in time")


async def test_it_expires_in_mid_answer_and_the_next_one_goes_on_exactly_there(
    asking: Gateway, writer: Writer, session_id: str
) -> None:
    pieces: list[str] = []
    async with bearing(asking, session_id, token(session_id)) as first:
        await first.joined()
        await writer.put(start(session_id, "m1"))
        # The answer goes on until the socket is closed, and has begun before its end is near.
        while first.socket.close_code is None:
            pieces.append(f"{len(pieces)} ")
            (piece,) = chunks(session_id, "m1", pieces[-1:], first=len(pieces))
            await writer.put(piece)
            if len(pieces) == 20:
                await first.got(lambda f: f["type"] == "ai_response_chunk")
                soon = token(session_id, exp=time.time() + 1)
                await first.send({"type": "token", "token": soon})
        assert (await first.until_closed())[0] == 4001
    read = first.text()
    pieces.append("the end")
    (last,) = chunks(session_id, "m1", pieces[-1:], first=len(pieces))
    await writer.put(last, complete(session_id, "m1", len(pieces)))
    cursor = first.log_frames()[-1]["cursor"]
    async with bearing(asking, session_id, token(session_id), f"?cursor={cursor}") as second:
        await second.got(lambda f: f["type"] == "ai_response_complete")
        assert (await second.got(lambda f: f.get("state") == "connected"))["recovered"] is True
    assert read
    assert second.text()
    assert read + second.text() == "".join(pieces)


async def test_a_token_frame_before_the_end_keeps_it_open(asking: Gateway, session_id: str) -> None:
    async with bearing(asking, session_id, token(session_id)) as client:
        await client.joined()
        ends_s = time.time() + 5
        await client.send({"type": "token", "token": token(session_id, exp=ends_s)})
        await client.send({"type": "token", "token": token(session_id)})
        while time.time() < ends_s + 2:  # two rounds of the sweep that would have closed it
            heard = len(client.of_type("pong"))
            await client.send({"type": "ping"})
            await client.got(lambda f: f["type"] == "pong", heard + 1)
        assert client.closed == (None, None)


async def test_fewer_rights_take_effect_on_the_open_socket(
    asking: Gateway, session_id: str
) -> None:
    async with bearing(asking, session_id, token(session_id)) as client:
        await client.joined()
        await client.send({"type": "token", "token": token(session_id, verbs=["read"])})
        for frame in (
            {"type": "user_message", "content": "x", "message_id": "m1"},
            {"type": "cancel", "message_id": "m1"},
        ):
            await client.send(frame)
        refused = await client.got(lambda f: f.get("code") == "forbidden", 2)
        assert refused["message_id"] == "m1"
        await client.send({"type": "history"})
        await client.got(lambda f: f["type"] == "history")
        await client.send({"type": "token", "token": token("another")})
        assert (await client.until_closed())[0] == 4003


async def test_a_drain_waits_for_nobody_who_has_not_said_who_he_is(
    servers: RunningStack, session_id: str
) -> None:
    named = {"TALKLOG_AUTH": "jwt", "TALKLOG_JWT_SECRET": SECRET}
    with running_gateway(servers, servers.state / f"{uuid4().hex}.log", **named) as leaving:
        async with (
            Client(leaving.url, session_id) as stranger,
            bearing(leaving, session_id, token(session_id)) as client,
        ):
            await client.joined()
            leaving.terminate()
            assert (await stranger.until_closed())[0] == 1012
            assert (await client.until_closed())[0] == 1012
        assert await leaving.exit_code() == 0
        assert "connections left" not in leaving.output.read_text()


async def test_keys_rotate(servers: RunningStack, tmp_path: Path, session_id: str) -> None:
    old, new = owner("ES256", "old"), owner("EdDSA", "new")
    keys = tmp_path / "keys.json"
    keys.write_bytes(key_set(old))
    named = {
        "TALKLOG_AUTH": "jwt",
        "TALKLOG_JWT_JWKS": str(keys),
        "TALKLOG_JWT_JWKS_EVERY_S": "1",
    }
    with running_gateway(servers, tmp_path / "log", **named) as gateway:
        assert await code_for(gateway, session_id, old) is None
        assert await code_for(gateway, session_id, new) == 4001
        keys.write_bytes(key_set(new))
        await once_let_in(gateway, session_id, new)
        assert await code_for(gateway, session_id, old) == 4001
        keys.unlink()
        gateway.until(lambda: "keys of before" in gateway.health())
        assert await code_for(gateway, session_id, new) is None


async def code_for(gateway: Gateway, session_id: str, signer: Owner) -> int | None:
    """The code that a token of this owner is closed with, None if it is let in."""
    headers = {"Authorization": f"Bearer {signer.sign(claims(session_id))}"}
    async with connect(
        f"{gateway.url}/ws/chat/{session_id}/", additional_headers=headers
    ) as socket:
        try:
            await asyncio.wait_for(socket.recv(), WITHIN_S)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
    return None


async def once_let_in(gateway: Gateway, session_id: str, signer: Owner) -> None:
    """Wait until a token of this owner is let in."""
    until_s = time.monotonic() + WITHIN_S
    while await code_for(gateway, session_id, signer) is not None:
        assert time.monotonic() < until_s, "the new keys were never read"
        await asyncio.sleep(POLL_S)


async def test_while_keys_are_away_clients_come_again_and_the_gateway_is_not_ready(
    servers: RunningStack, tmp_path: Path, session_id: str
) -> None:
    named = {"TALKLOG_AUTH": "jwt", "TALKLOG_JWT_JWKS": "http://127.0.0.1:1/keys"}
    with starting_gateway(servers, tmp_path / "log", **named) as gateway:
        gateway.until(lambda: "no keys from http://127.0.0.1:1/keys" in gateway.health())
        minted = owner("ES256").sign(claims(session_id))
        async with bearing(gateway, session_id, minted) as client:
            assert (await client.until_closed())[0] == 1012
        (told,) = client.frames
        assert (told["code"], told["retryable"]) == ("unavailable", True)


async def test_without_authentication_what_a_proxy_passes_on_is_refused(
    gateway: Gateway, session_id: str
) -> None:
    forwarded = {"X-Forwarded-For": "198.51.100.9"}
    async with Client(gateway.url, session_id, additional_headers=forwarded) as client:
        code, reason = await client.until_closed()
    assert code == 4003
    assert "TALKLOG_AUTH" in (reason or "")
    assert gateway.get("/")[0] == 200
    assert json.dumps(client.frames) == "[]"
