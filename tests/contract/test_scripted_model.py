"""The scripted model over HTTP, as tests in other processes use it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.scripted_model.script import answer_text
from tests.scripted_model.server import ScriptedModel
from tests.waiting import WITHIN_S


@pytest.fixture
async def server() -> AsyncIterator[ScriptedModel]:
    async with ScriptedModel() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


async def ask(http: aiohttp.ClientSession, url: str, prompt: str) -> tuple[int, str]:
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    async with http.post(f"{url}/chat/completions", json=body) as response:
        raw = (await response.read()).decode()
    if response.status != 200:
        return response.status, raw
    events = [json.loads(line[6:]) for line in raw.split("\n\n") if line.startswith("data: {")]
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    return response.status, "".join(delta.get("content", "") for delta in deltas)


async def control(http: aiohttp.ClientSession, url: str, name: str, **body: object) -> object:
    root = url.removesuffix("/v1")
    if name in ("script", "release", "reset"):
        async with http.post(f"{root}/control/{name}", json=body) as response:
            return response.status
    async with http.get(f"{root}/control/{name}", params=body) as response:  # type: ignore[arg-type]
        return await response.json()


async def test_orders_by_http(server: ScriptedModel, http: aiohttp.ClientSession) -> None:
    url = server.url
    assert await control(http, url, "script", default="tokens=2", next=["fault=status:503"]) == 200
    assert (await ask(http, url, "m1"))[0] == 503
    assert await ask(http, url, "m1") == (200, answer_text("m1", 2, 2))
    assert await control(http, url, "script", next=["fault=unheard"]) == 422
    await control(http, url, "reset")
    assert await ask(http, url, "m1") == (200, answer_text("m1", 1, 20))


async def test_what_it_was_asked_is_told(
    server: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    await ask(http, server.url, "m1 [[tokens=3]]")
    await ask(http, server.url, "m2 [[tokens=4]]")
    state = await control(http, server.url, "state")
    assert state == {
        "calls": 2,
        "open": 0,
        "max_open": 1,
        "tokens": 7,
        "states": {"done": 2},
        "by_key": {"m1": 1, "m2": 1},
    }
    calls = await control(http, server.url, "calls", key="m2")
    assert isinstance(calls, list)
    assert [call["messages"] for call in calls] == [
        [{"role": "user", "content": "m2 [[tokens=4]]"}]
    ]


async def test_held_answers_go_on_when_released(
    server: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    asking = [
        asyncio.create_task(ask(http, server.url, f"m{n} [[tokens=9 fault=hold_after:4]]"))
        for n in range(3)
    ]
    async with asyncio.timeout(WITHIN_S):
        while server.ledger.tokens < 12:  # noqa: ASYNC110  (the ledger has no events)
            await asyncio.sleep(0.005)
    assert server.ledger.open == 3
    await control(http, server.url, "release")
    answers = await asyncio.gather(*asking)
    assert answers == [(200, answer_text(f"m{n}", 1, 9)) for n in range(3)]


async def test_an_error_of_the_test_is_told(
    server: ScriptedModel, http: aiohttp.ClientSession
) -> None:
    status, text = await ask(http, server.url, "[[tokns=3]]")
    assert status == 422
    assert "tokns=3" in text


async def test_the_pace(server: ScriptedModel, http: aiohttp.ClientSession) -> None:
    await ask(http, server.url, "m1 [[tokens=40 rate=100]]")
    call = server.ledger.of("m1")[0]
    assert call.ended_s is not None
    assert call.ended_s - call.opened_s >= 0.39


async def test_as_a_process_of_its_own(http: aiohttp.ClientSession) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.scripted_model", "--port", "0", "--default", "tokens=3",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            url = json.loads(await process.stdout.readline())["url"]
        assert await ask(http, url, "m1") == (200, answer_text("m1", 1, 3))
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WITHIN_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
