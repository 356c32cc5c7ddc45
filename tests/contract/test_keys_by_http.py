"""Keys that come over HTTP: a real client, and servers that are well, away, slow or hostile."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.identity import key_source
from gateway.identity.claims import BadToken, CantTell, Expected
from gateway.identity.key_source import KeySource
from gateway.identity.keyring import Keyring
from gateway.identity.keys import KEYS_MAX_BYTES
from gateway.identity.tokens import Tokens
from tests.http_backend import Answer, endless, serving
from tests.unit.gateway.identity.minted import owner, published


class Owner:
    """Publishes keys; `answer` is what it says now."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Answer = self.well
        self.url = ""

    async def well(self, _: web.Request) -> web.StreamResponse:
        return web.Response(body=published(owner("ES256", "a")), content_type="application/json")

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return await self.answer(request)


@pytest.fixture
async def publisher() -> AsyncIterator[Owner]:
    one = Owner()
    async with serving("GET", "/{name}", one.take) as one.url:
        yield one


def of(publisher: Owner) -> tuple[KeySource, Tokens]:
    source = KeySource(f"{publisher.url}/keys", Keyring(300.0))
    return source, Tokens(Expected(), None, {None: source})


def token() -> str:
    return owner("ES256", "a").sign({"sub": "alice", "exp": time.time() + 60, "sessions": ["*"]})


async def test_keys_are_fetched_and_a_token_held_to_them(publisher: Owner) -> None:
    source, tokens = of(publisher)
    await source.read()
    assert (await tokens.rights(token())).subject == "alice"
    for _ in range(100):
        with pytest.raises(BadToken):
            await tokens.rights(owner("ES256", "a").sign({"exp": 1}, kid="unknown"))
    assert publisher.asked == 1


async def hang(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"keys": [')
    await asyncio.sleep(3600)
    return response


async def status(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


async def elsewhere(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/other")


async def html(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>sign in</html>", content_type="text/html")


async def bomb(_: web.Request) -> web.StreamResponse:
    body = gzip.compress(b" " * (200 * KEYS_MAX_BYTES))
    return web.Response(body=body, headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (hang, "TimeoutError"),
        (endless, "more than"),
        (status, "503"),
        (elsewhere, "302"),
        (html, "no JSON"),
        (bomb, "more than"),
    ],
)
async def test_a_server_that_gives_no_keys_takes_none_away(
    publisher: Owner, answer: Answer, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, tokens = of(publisher)
    await source.read()
    monkeypatch.setattr(key_source, "READ_LIMIT_S", 0.5 if answer is hang else 60.0)
    publisher.answer = answer
    await source.read()
    assert (await tokens.rights(token())).subject == "alice"
    assert why in "".join(tokens.failing())
    with pytest.raises(CantTell):
        await tokens.rights(owner("ES256", "a").sign({"exp": 1}, kid="unknown"))
    monkeypatch.setattr(key_source, "READ_LIMIT_S", 60.0)
    publisher.answer = publisher.well
    await source.read()
    assert tokens.failing() == []


async def test_a_server_that_is_away_is_said() -> None:
    source = KeySource("http://127.0.0.1:1/keys", Keyring(300.0))
    await source.read()
    assert "127.0.0.1:1" in (source.not_ready() or "")
