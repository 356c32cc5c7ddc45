"""What the model thought aloud: closed, beside the answer, and never read as anything but text."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_it_stands_closed_over_the_answer_and_opens_by_keyboard(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "2 + 2?")
    await gateway.start(message)
    thought = turn(chat, message).locator("details.thought")
    summary, reasoning = thought.locator("summary"), thought.locator(".reasoning")
    await expect(thought).to_be_hidden()
    await gateway.thought(message, 1, "<b>A plan</b>\n")
    await expect(summary).to_have_text("Thinking…")
    await expect(turn(chat, message).locator(".typing")).to_be_hidden()
    await expect(reasoning).to_be_hidden()
    await summary.focus()
    await chat.keyboard.press("Enter")
    await expect(reasoning).to_have_text("<b>A plan</b>")
    await gateway.thought(message, 2, "**of** two <img src=x onerror=alert(1)>steps.")
    whole = "<b>A plan</b>\n**of** two <img src=x onerror=alert(1)>steps."
    await expect(reasoning).to_have_text(whole)
    assert await reasoning.locator("*").count() == 0
    await gateway.chunk(message, 1, "Four.")
    await expect(answer(chat, message)).to_have_text("Four.")
    await gateway.complete(message, 1, reasoning_ms=12_300)
    await expect(summary).to_have_text("Thought for 12 s")
    await expect(answer(chat, message)).to_have_text("Four.")
    await chat.reload()
    await expect(summary).to_have_text("Thought for 12 s")
    await expect(reasoning).to_be_hidden()
    await summary.click()
    await expect(reasoning).to_have_text(whole)


async def test_an_attempt_that_begins_anew_takes_its_thoughts_along(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "2 + 2?")
    await gateway.start(message, "a1", generation=1)
    await gateway.thought(message, 1, "five?")
    thought = turn(chat, message).locator("details.thought")
    await thought.locator("summary").click()
    await expect(thought.locator(".reasoning")).to_have_text("five?")
    await gateway.start(message, "a2", generation=2)
    await expect(thought).to_be_hidden()
    await gateway.thought(message, 1, "four", attempt="a2")
    await expect(thought.locator(".reasoning")).to_have_text("four")


async def test_an_answer_of_reasoning_only_says_so_and_can_be_asked_for_again(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "2 + 2?")
    await gateway.start(message)
    await gateway.thought(message, 1, "I know it: 4.")
    await gateway.complete(message, 0, reasoning_ms=400)
    here = turn(chat, message)
    await expect(here.locator(".notes")).to_have_text("No text came from the model.")
    await expect(here.locator("summary")).to_have_text("Thought for less than a second")
    await expect(here.get_by_role("button", name="Ask again")).to_be_visible()


async def test_a_tool_that_was_called_for_in_vain_is_said(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "Look it up")
    await gateway.start(message)
    await gateway.complete(message, 0, tool_calls=1)
    await expect(turn(chat, message).locator(".notes")).to_contain_text("asked for a tool")
