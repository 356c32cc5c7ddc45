"""One Chromium for all tests of the page; a gateway and a clean profile for each."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.fake_gateway import FakeGateway, running
from tests.browser.steps import expect_connection
from tests.chromium import launched

PAGE_LIMIT_MS = 30_000
expect.set_options(timeout=PAGE_LIMIT_MS)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def gateway() -> AsyncIterator[FakeGateway]:
    async with running() as listening:
        yield listening


@pytest_asyncio.fixture(loop_scope="session")
async def profile(chromium: Browser, gateway: FakeGateway) -> AsyncIterator[BrowserContext]:
    # It ends before the gateway does: a page that is left would come back to it.
    context = await chromium.new_context()
    context.set_default_timeout(PAGE_LIMIT_MS)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def chat(profile: BrowserContext, gateway: FakeGateway) -> AsyncIterator[Page]:
    """The page, connected to a new session; its own errors and policy violations fail the test."""
    page = await profile.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if _is_ours(said.text) else None)
    await page.goto(gateway.url)
    await page.wait_for_selector("#badge[data-state=live]")
    yield page
    assert wrong == []


@pytest_asyncio.fixture(loop_scope="session")
async def unguarded_chat(chromium: Browser, gateway: FakeGateway) -> AsyncIterator[Page]:
    """The page in a browser that does not enforce the content policy: what gets through acts."""
    context = await chromium.new_context(bypass_csp=True)
    context.set_default_timeout(PAGE_LIMIT_MS)
    page = await context.new_page()
    await page.goto(gateway.url)
    await page.wait_for_selector("#badge[data-state=live]")
    yield page
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def phone(chromium: Browser, gateway: FakeGateway) -> AsyncIterator[Page]:
    """The page on a small screen that is touched, connected."""
    context = await chromium.new_context(
        viewport={"width": 360, "height": 640}, is_mobile=True, has_touch=True
    )
    page = await context.new_page()
    await page.goto(gateway.url)
    await expect_connection(page, "live")
    yield page
    await context.close()


def _is_ours(text: str) -> bool:
    """A refused connection is logged by the browser itself, and is what some tests are about."""
    return "Content Security Policy" in text or "TypeError" in text
