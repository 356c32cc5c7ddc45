"""What a person does with the page, and what is to be seen."""

from playwright.async_api import Locator, Page, expect

from schemas.events import UserMessage
from tests.browser.fake_gateway import FakeGateway


async def ask(page: Page, gateway: FakeGateway, content: str) -> UserMessage:
    """Type a message, send it with Enter, and wait until the gateway has it."""
    await write(page, content)
    return await gateway.next_asked()


async def ask_by_touch(page: Page, gateway: FakeGateway, content: str) -> UserMessage:
    """Type a message, send it with the button, and wait until the gateway has it."""
    await page.fill("#message", content)
    await page.get_by_role("button", name="Send").tap()
    return await gateway.next_asked()


async def write(page: Page, content: str) -> None:
    """Type a message and send it with Enter."""
    await page.fill("#message", content)
    await page.press("#message", "Enter")


def turn(page: Page, message: UserMessage) -> Locator:
    """The turn of this message."""
    return page.locator(f"[data-id='{message.message_id}']")


def answer(page: Page, message: UserMessage) -> Locator:
    """The answer's text."""
    return turn(page, message).locator(".prose")


async def expect_connection(page: Page, state: str) -> None:
    """Wait until the badge says so."""
    await expect(page.locator("#badge")).to_have_attribute("data-state", state)
