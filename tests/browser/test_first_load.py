"""What the page costs over the network: little the first time, next to nothing after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.fake_gateway import FakeGateway, running
from tests.browser.steps import answer, ask, expect_connection

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FIRST_MAX_BYTES = 100_000
AGAIN_MAX_BYTES = 2_000


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


async def test_the_first_visit_and_the_next(chromium: Browser, gateway: FakeGateway) -> None:
    profile = await chromium.new_context()
    page = await profile.new_page()
    network = await Network.of(page)
    await page.goto(gateway.url)
    await expect_connection(page, "live")
    await page.wait_for_load_state("networkidle")
    first = network.take()
    assert 10_000 < first < FIRST_MAX_BYTES
    await page.goto("about:blank")
    network.take()
    await page.goto(gateway.url)
    await expect_connection(page, "live")
    await page.wait_for_load_state("networkidle")
    assert network.take() < AGAIN_MAX_BYTES
    await profile.close()


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
