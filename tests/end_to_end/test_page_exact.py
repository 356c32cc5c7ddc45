"""What people do to the page, and what networks do: the screen is always what the model wrote.

Whatever stands on the screen meanwhile must be a beginning of it: nothing that was shown is taken
back, nothing is there twice.
"""

import functools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import redis
from playwright.async_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    WebSocket,
    expect,
)

from tests.chromium import launched
from tests.end_to_end.relay import Relay
from tests.end_to_end.test_whole_path import rows_hold, urls
from tests.scripted_model.control import ModelControl
from tests.scripted_model.script import answer_text
from tests.stack import RunningStack
from tests.waiting import WITHIN_S, until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

LIMIT_MS = 45_000
USUAL_LIMIT_MS = 30_000  # as in tests/browser
# Every text that the answers had, at each change of the page.
WATCH = """() => {
  window.seen = {};
  const look = () => {
    for (const turn of document.querySelectorAll('.turn')) {
      const text = turn.querySelector('.prose').textContent;
      const texts = (window.seen[turn.dataset.id] ??= []);
      if (texts.at(-1) !== text) texts.push(text);
    }
  };
  addEventListener('DOMContentLoaded', () => {
    const all = { childList: true, subtree: true, characterData: true };
    new MutationObserver(look).observe(document.querySelector('#transcript'), all);
  });
}"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def person(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A browser of one person, for several tabs."""
    context = await chromium.new_context()
    context.set_default_timeout(LIMIT_MS)
    await context.add_init_script(f"({WATCH})()")
    expect.set_options(timeout=LIMIT_MS)
    yield context
    expect.set_options(timeout=USUAL_LIMIT_MS)
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def network(stack: RunningStack) -> AsyncIterator[Relay]:
    """What lies between the page and both gateways."""
    async with Relay(urls(stack)) as relay:
        yield relay


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    """A session, and a key for the model, of the test's own."""
    name: str = request.node.name
    return "".join(c if c.isalnum() else "-" for c in name)[-40:].strip("-")


async def tab(person: BrowserContext, gateway: str, session: str) -> Page:
    """Open the session's page and wait until it is connected."""
    page = await person.new_page()
    await page.goto(f"{gateway}/#/s/{session}")
    await live(page)
    return page


async def live(page: Page) -> None:
    """Wait until the page follows its session."""
    await expect(page.locator("#badge")).to_have_attribute("data-state", "live")


async def say(page: Page, text: str) -> None:
    """Type a message and press Enter."""
    await page.fill("#message", text)
    await page.press("#message", "Enter")


def prose(page: Page, number: int = 0) -> Locator:
    """The text of the number-th answer."""
    return page.locator(".turn").nth(number).locator(".prose")


async def shows(page: Page, *texts: str) -> None:
    """Wait until every answer is whole; it is exactly the text, and never was anything else."""
    finished = page.locator(".turn .answer[aria-busy=false]")
    await expect(finished).to_have_count(len(texts))
    shown = [await prose(page, n).text_content() for n in range(len(texts))]
    assert [text and text.strip() for text in shown] == [text.strip() for text in texts]
    # In the order in which they stand: the one that was seen first may be the last.
    seen: list[list[str]] = await page.evaluate(
        "[...document.querySelectorAll('.turn')].map((turn) => window.seen[turn.dataset.id])"
    )
    for each, text in zip(seen, texts, strict=True):
        strangers = [one for one in each if not text.strip().startswith(one.strip())]
        assert strangers == []
        assert [len(one) for one in each] == sorted(len(one) for one in each)


async def stands(page: Page, text: str) -> None:
    """Wait until this text is on the screen."""
    await expect(page.locator("#transcript")).to_contain_text(text)


def asked_once(model: ModelControl, *keys: str) -> bool:
    """Whether the model was asked once for each."""
    return [len(model.calls(key)) for key in keys] == [1] * len(keys)


async def test_a_reload_in_mid_answer(
    stack: RunningStack, model: ModelControl, person: BrowserContext, session: str
) -> None:
    page = await tab(person, urls(stack)[0], session)
    await say(page, f"go [[key={session} tokens=90 rate=400 fault=hold_after:30]]")
    await stands(page, f"{session}/c1/0029")
    await page.reload()
    await stands(page, f"{session}/c1/0029")
    model.release()
    # Once more while it is being written.
    await page.reload()
    await shows(page, answer_text(session, 1, 90))
    await page.reload()
    await shows(page, answer_text(session, 1, 90))
    assert asked_once(model, session)


async def test_two_tabs_on_two_gateways_are_in_step(
    stack: RunningStack, model: ModelControl, person: BrowserContext, session: str
) -> None:
    one = await tab(person, urls(stack)[0], session)
    await say(one, f"go [[key={session} tokens=60 rate=200 fault=hold_after:30]]")
    await stands(one, f"{session}/c1/0029")
    # The second comes in mid-answer.
    two = await tab(person, urls(stack)[1], session)
    for page in (one, two):
        await expect(prose(page)).to_have_text(answer_text(session, 1, 30).strip())
    model.release()
    for page in (one, two):
        await shows(page, answer_text(session, 1, 60))
    await say(two, f"again [[key={session}-b tokens=20]]")
    for page in (one, two):
        await shows(page, answer_text(session, 1, 60), answer_text(f"{session}-b", 1, 20))
        await expect(page.locator(".bubble").nth(1)).to_contain_text("again")
    assert asked_once(model, session, f"{session}-b")


async def test_stop_in_the_other_tab(
    stack: RunningStack, model: ModelControl, person: BrowserContext, session: str
) -> None:
    one = await tab(person, urls(stack)[0], session)
    two = await tab(person, urls(stack)[1], session)
    await say(one, f"go [[key={session} tokens=60 fault=hold_after:30]]")
    for page in (one, two):
        await stands(page, f"{session}/c1/0029")
    await two.get_by_role("button", name="Stop the answer").click()
    text = answer_text(session, 1, 30)
    for page in (one, two):
        await expect(page.locator(".notes")).to_contain_text("This answer was stopped.")
        await expect(page.locator("#stop")).to_be_hidden()
        await shows(page, text)
    await until(lambda: model.calls(session)[0]["state"] == "closed", WITHIN_S, "the model let go")
    await one.reload()
    await shows(one, text)
    await expect(one.locator(".notes")).to_contain_text("This answer was stopped.")
    await rows_hold(stack, session, text)


async def test_what_is_sent_while_an_answer_runs_waits_in_line_in_every_tab(
    stack: RunningStack, model: ModelControl, person: BrowserContext, session: str
) -> None:
    keys = [f"{session}-{number}" for number in range(3)]
    one = await tab(person, urls(stack)[0], session)
    two = await tab(person, urls(stack)[1], session)
    await say(one, f"go [[key={keys[0]} tokens=20 fault=hold_after:10]]")
    await stands(one, f"{keys[0]}/c1/0009")
    await say(one, f"then [[key={keys[1]} tokens=20]]")
    await expect(one.locator(".turn").nth(1)).to_contain_text("Waiting, 1st in line")
    await say(two, f"last [[key={keys[2]} tokens=20]]")
    await two.reload()
    for page in (one, two):
        await expect(page.locator(".turn").nth(1)).to_contain_text("Waiting, 1st in line")
        await expect(page.locator(".turn").nth(2)).to_contain_text("Waiting, 2nd in line")
    model.release()
    for page in (one, two):
        await shows(page, *(answer_text(key, 1, 20) for key in keys))
    assert asked_once(model, *keys)


async def test_offline_in_mid_answer_and_online_again(
    model: ModelControl, person: BrowserContext, network: Relay, session: str
) -> None:
    page = await tab(person, network.url, session)
    await say(page, f"go [[key={session} tokens=90 fault=hold_after:30]]")
    await stands(page, f"{session}/c1/0029")
    await person.set_offline(True)
    await network.cut()
    await expect(page.locator("#banner")).to_contain_text("You are offline")
    # The answer is finished while nobody looks, and something more is typed.
    model.release()
    await until(lambda: model.calls(session)[0]["state"] == "done", WITHIN_S, "the answer ends")
    await say(page, f"offline [[key={session}-b tokens=20]]")
    await expect(page.locator(".turn").last).to_contain_text("Sending…")
    await person.set_offline(False)
    await shows(page, answer_text(session, 1, 90), answer_text(f"{session}-b", 1, 20))
    await expect(page.locator("#banner")).to_be_hidden()
    assert asked_once(model, session, f"{session}-b")


async def test_a_network_that_falls_silent_without_a_word(
    model: ModelControl, person: BrowserContext, network: Relay, session: str
) -> None:
    page = await tab(person, network.url, session)
    await say(page, f"go [[key={session} tokens=90 fault=hold_after:30]]")
    await stands(page, f"{session}/c1/0029")
    network.silence()
    model.release()
    await until(lambda: model.calls(session)[0]["state"] == "done", WITHIN_S, "the answer ends")
    # The browser says that the network is another: the page asks, hears nothing, comes anew.
    await page.evaluate("dispatchEvent(new Event('online'))")
    await expect(page.locator("#badge")).not_to_have_attribute("data-state", "live")
    network.end_silence()
    await shows(page, answer_text(session, 1, 90))
    assert asked_once(model, session)


async def test_cuts_between_two_gateways_in_mid_answer(
    model: ModelControl, person: BrowserContext, network: Relay, session: str
) -> None:
    page = await person.new_page()
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    await page.goto(f"{network.url}/#/s/{session}")
    await live(page)
    await say(page, f"go [[key={session} tokens=600 rate=100]]")
    for token in (40, 120, 200, 280, 360):
        await stands(page, f"{session}/c1/{token:04d}")
        before = len(sockets)
        await network.cut()
        # It may be back before anybody could see on the badge that it was gone.
        await until(sockets[before - 1].is_closed, WITHIN_S, "the page has lost its socket")
        await page.evaluate("dispatchEvent(new Event('online'))")
        await until(functools.partial(more_than, before, sockets), WITHIN_S, "it has come anew")
    await shows(page, answer_text(session, 1, 600))
    assert asked_once(model, session)


def more_than(count: int, sockets: list[WebSocket]) -> bool:
    """Whether the page has opened more sockets than that."""
    return len(sockets) > count


async def test_a_gateway_that_is_killed_and_another_takes_over(
    stack: RunningStack,
    model: ModelControl,
    person: BrowserContext,
    network: Relay,
    session: str,
) -> None:
    page = await tab(person, network.url, session)
    await say(page, f"go [[key={session} tokens=90 fault=hold_after:30]]")
    await stands(page, f"{session}/c1/0029")
    # One of the two is that which the page follows.
    for name in ("gateway-1", "gateway-2"):
        pid = stack.pid(name)
        stack.kill(name)
        await come_back(stack, name, pid)
    model.release()
    await shows(page, answer_text(session, 1, 90))
    assert asked_once(model, session)


async def test_a_gateway_that_is_killed_and_comes_back_at_its_address(
    stack: RunningStack, model: ModelControl, person: BrowserContext, session: str
) -> None:
    page = await tab(person, urls(stack)[0], session)
    await say(page, f"go [[key={session} tokens=90 fault=hold_after:30]]")
    await stands(page, f"{session}/c1/0029")
    pid = stack.pid("gateway-1")
    stack.kill("gateway-1")
    await expect(page.locator("#banner")).to_contain_text("Reconnecting")
    model.release()
    await say(page, f"meanwhile [[key={session}-b tokens=20]]")
    await shows(page, answer_text(session, 1, 90), answer_text(f"{session}-b", 1, 20))
    await come_back(stack, "gateway-1", pid)
    assert asked_once(model, session, f"{session}-b")


@pytest.mark.parametrize("flushed", [False, True], ids=["claimed", "flushed"])
async def test_a_message_that_the_page_sends_again_is_one_message(
    stack: RunningStack,
    model: ModelControl,
    person: BrowserContext,
    network: Relay,
    session: str,
    flushed: bool,
) -> None:
    """It was taken, but nobody heard so; with Redis empty even the log has it twice."""
    page = await person.new_page()
    sent: list[dict[str, Any]] = []
    page.on("websocket", lambda socket: note_sent(socket, sent))
    await page.goto(f"{network.url}/#/s/{session}")
    await live(page)
    network.silence()
    await say(page, f"go [[key={session} tokens=40 fault=hold_after:20]]")
    await until(lambda: model.calls(session), WITHIN_S, "the model is asked")
    if flushed:
        with redis.Redis.from_url(stack.file.redis) as client:
            client.flushall()
    await network.cut()
    network.end_silence()
    await until(lambda: len(sent) == 2, WITHIN_S, "the page has sent it again")
    assert sent[0] == sent[1]
    await stands(page, f"{session}/c1/0019")
    model.release()
    await shows(page, answer_text(session, 1, 40))
    assert asked_once(model, session)
    await page.reload()
    await shows(page, answer_text(session, 1, 40))
    await rows_hold(stack, session, answer_text(session, 1, 40))


def note_sent(socket: WebSocket, sent: list[dict[str, Any]]) -> None:
    """Keep the messages that the page sends over this socket."""

    def note(payload: str | bytes) -> None:
        frame = json.loads(payload)
        if frame["type"] == "user_message":
            sent.append(frame)

    socket.on("framesent", note)


async def come_back(stack: RunningStack, name: str, killed_pid: int) -> None:
    """Wait until what was killed is there again, for whoever uses the stack next."""
    await until(
        lambda: stack.pid(name) not in (0, killed_pid) and stack.state_of(name) == "ready",
        WITHIN_S,
        f"{name} is ready again",
    )
