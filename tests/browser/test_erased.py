"""A chat that is erased goes from the screen and from the device, and says so in words."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, expect_connection
from tests.written import Say

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SAID_BEFORE = 5


async def test_an_erased_chat_is_empty_says_so_and_goes_on_as_a_new_one(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "A secret name")
    await gateway.answer(message, "a secret answer")
    await expect(answer(chat, message)).to_have_text("a secret answer")
    await gateway.write(Say(message.session_id, "f").forgotten(SAID_BEFORE))
    await expect(chat.locator(".turn")).to_have_count(0)
    await expect(chat.locator("#erased")).to_contain_text("This conversation was erased")
    await expect(chat.locator("#no-chats")).to_be_visible()
    await expect(chat).to_have_title("talklog")
    assert "secret" not in await chat.content()
    kept = await chat.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "secret" not in kept

    new = await ask(chat, gateway, "New words")
    say = Say(new.session_id, new.message_id, content=new.content, prompt_offset=SAID_BEFORE)
    for event in say.answer(["a new answer"], attempt="b1"):
        await gateway.write(event)  # type: ignore[arg-type]
    await expect(answer(chat, new)).to_have_text("a new answer")
    await expect(chat.locator("#erased")).to_be_hidden()
    await expect(chat.locator("#chats a")).to_have_text(["New words"])
    await chat.reload()
    await expect(answer(chat, new)).to_have_text("a new answer")
    await expect(chat.locator(".turn")).to_have_count(1)
    await expect(chat.locator("#chats a")).to_have_text(["New words"])


async def test_a_chat_that_was_erased_meanwhile_leaves_the_list_when_it_is_opened(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "A secret name")
    await gateway.answer(message, "a secret answer")
    await expect(answer(chat, message)).to_have_text("a secret answer")
    await chat.get_by_role("button", name="New chat").click()
    await expect_connection(chat, "live")
    await expect(chat.locator("#welcome")).to_be_visible()
    await gateway.write(Say(message.session_id, "f").forgotten(SAID_BEFORE))
    await chat.locator("#chats a").click()
    await expect(chat.locator("#erased")).to_be_visible()
    await expect(chat.locator("#no-chats")).to_be_visible()
    assert "secret" not in await chat.content()
