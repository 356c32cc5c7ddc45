"""A gateway that asks a team's own backend, by cookies."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from schemas.events import UserMessage
from tests.http_backend import serving
from tests.integration.gateway.client import Client
from tests.integration.gateway.process import Gateway, running_gateway
from tests.integration.gateway.writer import published
from tests.stack import RunningStack


class Backend:
    """Knows alice by her cookie; `lasts_s` is how long it says so."""

    def __init__(self) -> None:
        self.works = True
        self.lasts_s = 3600.0
        self.url = ""

    async def who(self, request: web.Request) -> web.StreamResponse:
        if not self.works:
            return web.Response(status=500)
        told = await request.json()
        if "session=a" not in told["headers"].get("cookie", ""):
            return web.Response(status=401)
        said = {"sub": "alice", "sessions": ["{sub}.*"], "expires_in_s": self.lasts_s}
        return web.json_response(said)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    one = Backend()
    async with serving("POST", "/who", one.who) as url:
        one.url = f"{url}/who"
        yield one


def coming(gateway: Gateway, session_id: str, cookie: str, query: str = "") -> Client:
    return Client(gateway.url, session_id, query, additional_headers={"Cookie": cookie})


async def test_a_cookie_says_who_comes_and_what_he_may(
    servers: RunningStack, backend: Backend, tmp_path: Path, session_id: str
) -> None:
    named = {"TALKLOG_AUTH": "hook", "TALKLOG_HOOK_URL": backend.url}
    own, others = f"alice.{session_id}", f"bob.{session_id}"
    with running_gateway(servers, tmp_path / "log", **named) as gateway:
        async with coming(gateway, own, "session=a") as client:
            await client.joined()
            await client.send({"type": "user_message", "content": "Hi", "message_id": "m1"})
            await client.got(lambda f: f.get("state") == "accepted")
        for session, cookie, code in ((others, "session=a", 4003), (own, "session=b", 4001)):
            async with coming(gateway, session, cookie) as client:
                assert (await client.until_closed())[0] == code
        backend.lasts_s = 1.0
        async with coming(gateway, own, "session=a") as client:
            await client.joined()
            # Its cookies may well be good for longer: it comes again by itself, and is asked about.
            assert (await client.until_closed())[0] == 1012
        cursor = client.of_type("snapshot")[0]["cursor"]
        async with coming(gateway, own, "session=a", f"?cursor={cursor}") as client:
            assert (await client.got(lambda f: f.get("state") == "connected"))["recovered"] is True
        backend.works = False
        async with coming(gateway, own, "session=a") as client:
            assert (await client.until_closed())[0] == 1012
            assert [frame["code"] for frame in client.frames] == ["unavailable"]
        told = await asyncio.to_thread(gateway.health)
        assert told.startswith("ready; the hook")
        assert gateway.metric("identity_calls_total") >= 5
    (message,) = await published(servers.file.kafka, own)
    assert isinstance(message, UserMessage)
    assert message.user == "alice"
