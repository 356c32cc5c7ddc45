"""The connect hook with a real client: what the backend is told, what becomes of its answers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.identity import hook as hook_module
from gateway.identity.claims import BadToken, CantTell
from gateway.identity.hook import Hook, Visitor
from tests.http_backend import Answer, endless, serving
from tests.waiting import until

ALICE = Visitor("alice-1", "203.0.113.5", {"cookie": "session=a"})


class Backend:
    """Knows who `session=a` is."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answer: Answer = self.well
        self.url = ""
        self.cache_s = 0

    async def well(self, request: web.Request) -> web.StreamResponse:
        told = self.asked[-1]
        if told["headers"].get("cookie") != "session=a":
            return web.Response(status=401)
        said = {"sub": "alice", "sessions": ["{sub}-*"], "cache_s": self.cache_s}
        return web.json_response(said)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({**await request.json(), "by": request.headers.get("Authorization")})
        return await self.answer(request)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    one = Backend()
    async with serving("POST", "/who", one.take) as url:
        one.url = f"{url}/who"
        yield one


@pytest.fixture
async def hook(backend: Backend) -> AsyncIterator[Hook]:
    one = Hook(backend.url, secret="gateways", timeout_s=60.0, headers=["cookie"])
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0)
    yield one
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_it_is_told_who_comes_and_says_what_he_may(backend: Backend, hook: Hook) -> None:
    rights = await hook.rights(ALICE)
    assert rights.subject == "alice"
    assert rights.may("say", "alice-1")
    assert not rights.may("say", "bob-1")
    assert backend.asked == [
        {
            "session_id": "alice-1",
            "address": "203.0.113.5",
            "headers": {"cookie": "session=a"},
            "by": "Bearer gateways",
        }
    ]
    assert "session=a" not in repr(ALICE)


async def test_who_is_not_known_has_to_sign_in(hook: Hook) -> None:
    with pytest.raises(BadToken, match="not signed in"):
        await hook.rights(Visitor("alice-1", "203.0.113.5", {}))
    assert hook.failing() == []


async def test_an_answer_is_given_again_only_to_the_same_question(
    backend: Backend, hook: Hook
) -> None:
    backend.cache_s = 60
    for _ in range(20):
        await hook.rights(ALICE)
    assert len(backend.asked) == 1
    for other in (
        Visitor("alice-2", ALICE.address, ALICE.headers),
        Visitor(ALICE.session_id, "203.0.113.6", ALICE.headers),
    ):
        await hook.rights(other)
    with pytest.raises(BadToken):
        await hook.rights(Visitor(ALICE.session_id, ALICE.address, {"cookie": "session=b"}))
    assert len(backend.asked) == 4


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


async def status(_: web.Request) -> web.StreamResponse:
    return web.Response(status=500)


async def elsewhere(_: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect("/who")


@pytest.mark.parametrize(
    ("answer", "why"),
    [(hang, "TimeoutError"), (endless, "more than"), (status, "500"), (elsewhere, "307")],
)
async def test_a_backend_that_does_not_work_lets_nobody_in_and_calls_nobody_unknown(
    backend: Backend, hook: Hook, answer: Answer, why: str
) -> None:
    await hook.rights(ALICE)
    backend.answer = answer
    hook._timeout_s = 0.5 if answer is hang else 60.0
    with pytest.raises(CantTell, match=why):
        await hook.rights(ALICE)
    (told,) = hook.failing()
    assert why in told
    backend.answer = backend.well
    hook._timeout_s = 60.0
    await hook.rights(ALICE)
    assert hook.failing() == []


async def test_no_more_wait_for_it_and_call_it_than_the_bounds(
    backend: Backend, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_module, "WAITING_MAX", 60)
    let_go = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await let_go.wait()
        return web.json_response({"sub": "alice", "sessions": ["*"]})

    backend.answer = slow
    hook._timeout_s = 60.0
    visitors = [Visitor(f"alice-{number}", "", ALICE.headers) for number in range(80)]
    asking = [asyncio.create_task(hook.rights(visitor)) for visitor in visitors]
    await until(lambda: len(backend.asked) == hook_module.CALLS_AT_ONCE, 60.0, "the calls")
    refused = [task for task in asking if task.done()]
    assert len(refused) == 20
    assert all("too many" in str(task.exception()) for task in refused)
    assert len(backend.asked) == hook_module.CALLS_AT_ONCE
    let_go.set()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(isinstance(each, CantTell) for each in told) == 20
    assert len(backend.asked) == 60


async def test_a_backend_that_is_away_is_said_without_its_password() -> None:
    away = Hook("http://user:secret@127.0.0.1:1/who?key=secret")
    with pytest.raises(CantTell):
        await away.rights(ALICE)
    (told,) = away.failing()
    assert "127.0.0.1:1/who" in told
    assert "secret" not in told
    await away._close()
