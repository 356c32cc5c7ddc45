"""What the page costs over the network: little the first time, next to nothing after it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.fake_gateway import FakeGateway, running
from tests.browser.steps import answer, ask, expect_connection

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

EMPTY_MIN_BYTES = 10_000
EMPTY_MAX_BYTES = 60_000
FIRST_MAX_BYTES = 100_000
COLOURS_MAX_BYTES = 45_000
AGAIN_MAX_BYTES = 2_000
MARKDOWN = """## A heading

Some **bold** and *other* words with `code`, [a link](https://example.org/) and &auml;.

- one
- [ ] two

| a | b |
|---|---|
| 1 | 2 |

> said[^1]

[^1]: here
"""


class Network:
    """Counts what comes to a page over the network, headers and all."""

    def __init__(self) -> None:
        self.bytes = 0
        self.urls: list[str] = []

    @classmethod
    async def of(cls, page: Page) -> "Network":
        """Begin to count."""
        network = cls()
        session = await page.context.new_cdp_session(page)
        await session.send("Network.enable")
        session.on("Network.loadingFinished", network._finished)
        session.on("Network.responseReceived", network._received)
        return network

    def _finished(self, event: dict[str, float]) -> None:
        self.bytes += int(event["encodedDataLength"])

    def _received(self, event: dict[str, dict[str, str]]) -> None:
        self.urls.append(event["response"]["url"])

    def take(self) -> int:
        """Give what came since the last call."""
        taken, self.bytes = self.bytes, 0
        return taken


async def visit(page: Page, network: Network, gateway: FakeGateway, place: str) -> int:
    """Open the page; the bytes that came until nothing comes any more."""
    await page.goto("about:blank")
    network.take()
    await page.goto(gateway.url + place)
    await expect_connection(page, "live")
    await page.wait_for_load_state("networkidle")
    return network.take()


async def answered(page: Page, gateway: FakeGateway, *answers: str) -> str:
    """Have a chat with these answers; its place, for the address."""
    for text in answers:
        await gateway.answer(await ask(page, gateway, "And?"), text)
    return "#" + page.url.partition("#")[2]


async def test_the_first_visit_and_the_next(chromium: Browser, gateway: FakeGateway) -> None:
    profile = await chromium.new_context()
    page = await profile.new_page()
    network = await Network.of(page)
    assert EMPTY_MIN_BYTES < await visit(page, network, gateway, "") < EMPTY_MAX_BYTES
    assert await visit(page, network, gateway, "") < AGAIN_MAX_BYTES
    await profile.close()


async def test_the_first_visit_of_a_chat_with_answers_and_the_next(
    chromium: Browser, chat: Page, gateway: FakeGateway, tell: Callable[[str], None]
) -> None:
    place = await answered(chat, gateway, MARKDOWN, MARKDOWN)
    profile = await chromium.new_context()
    page = await profile.new_page()
    network = await Network.of(page)
    first = await visit(page, network, gateway, place)
    await expect(page.locator(".prose tbody")).to_have_count(2)
    tell(f"a first visit with answers: {first} bytes in {len(network.urls)} files")
    assert EMPTY_MIN_BYTES < first < FIRST_MAX_BYTES
    assert await visit(page, network, gateway, place) < AGAIN_MAX_BYTES
    await expect(page.locator(".prose tbody")).to_have_count(2)
    await profile.close()


async def test_colours_and_formulas_come_on_top_when_the_text_is_there(
    chromium: Browser, chat: Page, gateway: FakeGateway, tell: Callable[[str], None]
) -> None:
    """They don't count to what a first visit may cost: the chat is read before they are here."""
    code = await answered(chat, gateway, MARKDOWN + "\n```js\nconst a = 1;\n```\n")
    profile = await chromium.new_context()
    page = await profile.new_page()
    network = await Network.of(page)
    held = asyncio.Event()
    await page.route("**/highlight*.js", lambda route: until(held, route))  # nothing is cached then
    await page.goto(gateway.url + code)
    await expect(page.locator(".prose pre")).to_have_text("const a = 1;\n")
    before = network.take()
    held.set()
    await expect(page.locator("code .hljs-keyword")).to_have_text("const")
    colours = network.take()
    tell(f"a first visit with code: {before} bytes, and then {colours} for its colours")
    assert before < FIRST_MAX_BYTES
    assert colours < COLOURS_MAX_BYTES
    await profile.close()


async def until(event: asyncio.Event, route: Route) -> None:
    await event.wait()
    await route.continue_()


async def test_what_reads_markdown_comes_with_the_first_answer_and_the_rest_when_needed(
    chat: Page, gateway: FakeGateway
) -> None:
    network = await Network.of(chat)
    plain = await ask(chat, gateway, "plain")
    await gateway.answer(plain, "**Plain** text.")
    await expect(answer(chat, plain).locator("strong")).to_have_text("Plain")
    names = {url.rpartition("/")[2] for url in network.urls}
    assert "markdown-it.js" in names
    assert not {"highlight.js", "katex.js"} & names
    code = await ask(chat, gateway, "code")
    await gateway.answer(code, "```js\nconst a = 1;\n```")
    await expect(answer(chat, code).locator("code span").first).to_be_visible()
    formula = await ask(chat, gateway, "formula")
    await gateway.answer(formula, "so $x^2$ is")
    await expect(answer(chat, formula).locator(".katex").first).to_be_visible()
    names = {url.rpartition("/")[2] for url in network.urls}
    assert {"highlight.js", "katex.js", "katex.css"} <= names


async def test_without_what_reads_markdown_the_text_is_shown_as_written(
    chat: Page, gateway: FakeGateway
) -> None:
    """A tab that was left open over a change of networks: half of its files are out of reach."""
    await chat.route("**/markdown.js", lambda route: route.abort())
    message = await ask(chat, gateway, "plain")
    await gateway.start(message)
    await gateway.chunk(message, 1, "**Plain** <b>text</b>.")
    await expect(answer(chat, message)).to_have_text("**Plain** <b>text</b>.")
    await expect(answer(chat, message).locator("*")).to_have_count(0)


@asynccontextmanager
async def below_a_folder() -> AsyncIterator[FakeGateway]:
    async with running() as gateway:
        gateway.folder = "/chat"
        yield gateway


async def test_it_works_in_a_folder_of_another_site(chromium: Browser) -> None:
    profile = await chromium.new_context()
    page = await profile.new_page()
    async with below_a_folder() as gateway:
        missing: list[str] = []
        page.on("response", lambda told: missing.append(told.url) if told.status >= 400 else None)
        await page.goto(gateway.url + "chat/")
        await expect_connection(page, "live")
        message = await ask(page, gateway, "Hello?")
        await gateway.answer(message, "so $x^2$ is\n\n```js\nconst a = 1;\n```")
        await expect(answer(page, message).locator(".katex").first).to_be_visible()
        await expect(answer(page, message).locator("code span").first).to_be_visible()
        await page.reload()
        await expect(answer(page, message).locator(".katex").first).to_be_visible()
        assert missing == []
        await profile.close()
