"""What a person is told while nothing comes, and when and how fast what came was said."""

import pytest
from playwright.async_api import BrowserContext, Page, expect

from schemas.close_codes import CloseCode
from schemas.frames import Queued
from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, expect_connection, turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_on_a_phone_enter_makes_a_line_and_the_button_sends(
    phone: Page, gateway: FakeGateway
) -> None:
    assert await phone.get_attribute("#message", "enterkeyhint") == "enter"
    await phone.locator("#message").press_sequentially("one")
    await phone.keyboard.press("Enter")
    await phone.keyboard.type("two")
    assert gateway.submitted == []
    await phone.get_by_role("button", name="Send").tap()
    assert (await gateway.next_asked()).content == "one\ntwo"


async def test_an_answer_that_falls_silent_says_that_it_is_waited_for(
    chat: Page, gateway: FakeGateway
) -> None:
    await chat.clock.install()
    await chat.reload()
    await expect_connection(chat, "live")
    message = await ask(chat, gateway, "Hello?")
    await gateway.start(message)
    await gateway.chunk(message, 1, "So far")
    await expect(answer(chat, message)).to_have_text("So far")
    notes = turn(chat, message).locator(".notes")
    await expect(notes).to_be_empty()
    await chat.clock.run_for(6_000)
    await expect(notes).to_have_text("Still waiting…")
    await expect(answer(chat, message)).to_have_class("prose streaming stale")
    await expect(answer(chat, message)).to_have_text("So far")
    await gateway.chunk(message, 2, ", so good")
    await expect(answer(chat, message)).to_have_text("So far, so good")
    await chat.clock.run_for(1_000)
    await expect(notes).to_be_empty()
    await expect(answer(chat, message)).to_have_class("prose streaming")


async def test_what_an_attempt_wrote_stays_dimmed_until_the_next_has_words(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "Hello?")
    await gateway.start(message, "a1", generation=1)
    await gateway.chunk(message, 1, "first try")
    await expect(answer(chat, message)).to_have_text("first try")
    await gateway.start(message, "a2", generation=2)
    await expect(answer(chat, message)).to_have_class("prose stale")
    await expect(answer(chat, message)).to_have_text("first try")
    await expect(turn(chat, message).locator(".typing")).to_be_visible()
    await gateway.chunk(message, 1, "second", attempt="a2")
    await expect(answer(chat, message)).to_have_text("second")
    await expect(answer(chat, message)).to_have_class("prose streaming")


async def test_what_was_left_over_is_gone_when_the_answer_ends_without_text(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "Hello?")
    await gateway.start(message, "a1", generation=1)
    await gateway.chunk(message, 1, "first try")
    await gateway.start(message, "a2", generation=2)
    await gateway.complete(message, 0, attempt="a2")
    await expect(answer(chat, message)).to_be_hidden()
    await expect(turn(chat, message).locator(".notes")).to_contain_text("No text came")


async def test_a_turn_says_when_and_how_fast(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "Hello?")
    when = turn(chat, message).locator("time")
    await expect(when).to_be_visible()
    await gateway.start(message)
    for sequence in range(1, 13):
        await gateway.chunk(message, sequence, "word ")
    await gateway.complete(message, 12)
    small = turn(chat, message).locator(".small-print")
    await expect(small).to_contain_text("12 tokens · 1.2 s · 11 tokens/s · first word after 0.1 s")
    await chat.reload()
    await expect(when).to_have_attribute("datetime", "2026-01-05T10:00:00.000Z")
    assert await when.get_attribute("title")


async def test_offline_is_told_at_once_though_the_socket_is_open(
    chat: Page, profile: BrowserContext
) -> None:
    await profile.set_offline(True)
    await expect(chat.locator("#banner")).to_contain_text("You are offline")
    await expect(chat.locator("#badge-text")).to_have_text("Offline")
    await profile.set_offline(False)
    await expect(chat.locator("#banner")).to_be_hidden()
    await expect_connection(chat, "live")


async def test_an_address_that_can_be_none_has_a_way_out(
    profile: BrowserContext, gateway: FakeGateway
) -> None:
    page = await profile.new_page()
    await page.goto(f"{gateway.url}#/s/no%20such%20id")
    await expect(page.locator("#banner")).to_contain_text("address isn’t valid")
    await page.get_by_role("button", name="Start a new chat").click()
    await expect_connection(page, "live")
    message = await ask(page, gateway, "Hello?")
    await gateway.answer(message, "hello")
    await expect(answer(page, message)).to_have_text("hello")


async def test_a_chat_that_may_not_be_read_has_a_way_out(chat: Page, gateway: FakeGateway) -> None:
    await gateway.close_all(CloseCode.FORBIDDEN)
    await chat.get_by_role("button", name="Start a new chat").click()
    await expect_connection(chat, "live")
    assert len({address.session_id for address in gateway.addresses}) == 2


async def test_who_waits_for_a_worker_with_room_is_told_how_many_wait_and_how_long(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "Hello?")
    waits = Queued(
        session_id=message.session_id, message_id=message.message_id, position=13, eta_ms=39_400
    )
    await gateway.say(waits)
    note = turn(chat, message).locator(".prompt-note")
    await expect(note).to_have_text("Many are waiting: 12 before you, about 40 s")
    await gateway.start(message)
    await expect(note).to_be_empty()
    await gateway.chunk(message, 1, "Here I am")
    await expect(answer(chat, message)).to_have_text("Here I am")
