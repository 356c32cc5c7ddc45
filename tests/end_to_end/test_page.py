"""The page in a real Chromium on the whole stack: with the scripted model, and with a real one."""

import functools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.chromium import launched
from tests.end_to_end.reader import Reader
from tests.end_to_end.test_whole_path import urls
from tests.scripted_model.control import ModelControl
from tests.scripted_model.script import answer_text
from tests.stack import RunningStack, running_stack

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.timeout(600)]

ANSWER = ".answer"
STORIES_MAX = 5
SNIPPET = """address => new Promise((resolve, reject) => {
  const seen = [];
  const ws = new WebSocket(address);
  ws.onmessage = (event) => {
    seen.push(JSON.parse(event.data));
    if (seen.at(-1).type === 'ai_response_complete') resolve(seen);
  };
  ws.onopen = () => ws.send(JSON.stringify({type: 'user_message', content: 'Hello'}));
  setTimeout(() => reject(JSON.stringify(seen)), 60000);
})"""


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium, as the machine has it."""
    async with launched() as started:
        yield started


async def test_text_stands_on_the_screen_before_the_answer_has_ended(
    stack: RunningStack, model: ModelControl, browser: Browser
) -> None:
    page = await opened(browser, urls(stack)[0], "page-1")
    await say(page, "go [[key=page1 tokens=30 fault=hold_after:10]]")
    await page.get_by_text("page1/c1/0009").wait_for()
    assert not any(call["state"] == "done" for call in model.calls("page1"))
    model.release()
    await page.get_by_text("page1/c1/0029").wait_for()
    shown = await page.locator(ANSWER).inner_text()
    assert answer_text("page1", 1, 30).strip() in " ".join(shown.split())


async def test_the_three_line_client_works_as_it_stands(
    stack: RunningStack, model: ModelControl, browser: Browser
) -> None:
    page = await opened(browser, urls(stack)[0], "page-2")
    address = urls(stack)[0].replace("http", "ws", 1) + "/ws/chat/test_session/"
    frames = await page.evaluate(SNIPPET, address)
    text = "".join(f["content"] for f in frames if f["type"] == "ai_response_chunk")
    assert text == answer_text("Hello", 1, 20)


@pytest.mark.local_model
@pytest.mark.timeout(900)  # it computes, on a machine that may be busy
async def test_a_real_model_answers_two_prompts_differently(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The first words are on the screen before the terminal is in the log.

    A model may be faster than a busy machine's screen: then it is asked for another story.
    """
    with running_stack(tmp_path_factory.mktemp("real"), TALKLOG_MAX_TOKENS="60") as stack:
        gateway = urls(stack)[0]
        async with Reader(gateway, "real") as reader:
            page = await opened(browser, gateway, "real")
            stories, seen_running = 0, False
            while not seen_running:
                stories += 1
                assert stories <= STORIES_MAX, "no words were on the screen before the end"
                await say(page, f"Write a long story about {stories} lighthouses.")
                await words_stand(page, stories)
                seen_running = not has_ended(reader, stories)
                await reader.until(functools.partial(has_ended, reader, stories), 300)
            await say(page, "What is the capital of France?")
            await words_stand(page, stories + 1)
            await reader.until(functools.partial(has_ended, reader, stories + 1), 300)
            answers = list(reader.transcript.messages.values())
            assert len(answers) == stories + 1
            assert all(answer.state == "complete" for answer in answers), answers
            assert answers[0].text != answers[-1].text
            assert all(a.usage and not a.usage.estimated for a in answers)
            assert all(a.usage and 0 < a.usage.completion_tokens <= 60 for a in answers)


async def words_stand(page: Page, number: int) -> None:
    """Wait until the number-th answer, from 1, has words on the screen."""
    words = page.locator(ANSWER).nth(number - 1).locator("p").first
    await words.wait_for(timeout=300_000)


def has_ended(reader: Reader, number: int) -> bool:
    """Whether so many messages of the session have ended."""
    return sum(message.terminal for message in reader.transcript.messages.values()) == number


async def opened(browser: Browser, gateway: str, session: str) -> Page:
    """The page of a session, connected."""
    page = await browser.new_page()
    page.set_default_timeout(60_000)
    await page.goto(f"{gateway}/#/s/{session}")
    await page.wait_for_selector("#badge[data-state=live]")
    return page


async def say(page: Page, text: str) -> None:
    """Type a message and press Enter."""
    await page.fill("#message", text)
    await page.press("#message", "Enter")
