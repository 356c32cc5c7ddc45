"""Around the conversation: the list of chats, keyboard, scrolling, theme, small screens."""

import msgspec
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, ask_by_touch, expect_connection, turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LONG = "\n\n".join(f"Paragraph {number} of a long answer." for number in range(60))
AT_END = """() => {
  const { scrollHeight, scrollTop, clientHeight } = document.querySelector('#scroller');
  return scrollHeight - scrollTop - clientHeight < 2;
}"""


async def test_the_session_is_in_the_address_and_survives_a_reload(
    chat: Page, gateway: FakeGateway
) -> None:
    address = chat.url
    assert "#/s/" in address
    message = await ask(chat, gateway, "Remember me")
    await gateway.answer(message, "I do")
    await chat.reload()
    assert chat.url == address
    await expect(answer(chat, message)).to_have_text("I do")


async def test_chats_of_this_device_are_listed_by_their_first_message(
    chat: Page, gateway: FakeGateway
) -> None:
    await expect(chat.locator("#no-chats")).to_be_visible()
    message = await ask(chat, gateway, "The first chat\nwith a second line")
    await gateway.answer(message, "one")
    await expect(chat.locator("#chats a")).to_have_text(["The first chat"])
    await expect(chat).to_have_title("The first chat · talklog")
    await chat.get_by_role("button", name="New chat").click()
    await expect_connection(chat, "live")
    await expect(chat.locator(".turn")).to_have_count(0)
    second = await ask(chat, gateway, "The second chat")
    await gateway.answer(second, "two")
    await expect(chat.locator("#chats a")).to_have_text(["The second chat", "The first chat"])
    await chat.locator("#chats a").nth(1).click()
    await expect(answer(chat, message)).to_have_text("one")
    await expect(chat.locator(".turn")).to_have_count(1)
    await expect(chat.locator("#chats a[aria-current=page]")).to_have_text("The first chat")


async def test_what_is_typed_at_once_after_new_chat_is_said_in_the_new_chat(
    chat: Page, gateway: FakeGateway
) -> None:
    # Seen: it was said in the chat that was left, or kept as its draft and gone from the box.
    first = await ask(chat, gateway, "The first chat")
    await chat.evaluate(
        """() => {
          document.querySelector("#new-chat").click();
          const box = document.querySelector("#message");
          box.value = "typed at once";
          box.dispatchEvent(new Event("input", { bubbles: true }));
        }"""
    )
    await expect(chat.locator("#chats a[aria-current=page]")).to_have_count(0)
    await chat.keyboard.press("Enter")
    second = await gateway.next_asked()
    assert second.content == "typed at once"
    assert second.session_id != first.session_id
    await chat.go_back()
    await expect(turn(chat, first)).to_be_visible()
    await expect(chat.locator("#message")).to_have_value("")


async def test_a_chat_removed_from_the_list_stays_removed_unless_undone(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "Short-lived")
    await gateway.answer(message, "yes")
    await chat.locator("#chats li").hover()
    remove = chat.get_by_role("button", name="Remove “Short-lived” from this list")
    await remove.click()
    await expect(chat.locator("#chats li")).to_have_count(0)
    await expect(answer(chat, message)).to_have_text("yes")
    await chat.get_by_role("button", name="Undo").click()
    await expect(chat.locator("#chats a")).to_have_text(["Short-lived"])


async def test_a_chat_opened_by_its_address_gets_its_name(
    chat: Page, gateway: FakeGateway, chromium: Browser
) -> None:
    message = await ask(chat, gateway, "Shared with a friend")
    await gateway.answer(message, "hello friend")
    elsewhere = await chromium.new_context()
    page = await elsewhere.new_page()
    await page.goto(chat.url)
    await expect(page.locator("#chats a")).to_have_text(["Shared with a friend"])
    await expect(answer(page, message)).to_have_text("hello friend")
    await elsewhere.close()


async def test_earlier_messages_are_loaded_on_request(chat: Page, gateway: FakeGateway) -> None:
    first = await ask(chat, gateway, "Number 0")
    await gateway.answer(first, "answer 0")
    for number in range(1, 103):
        other = msgspec.structs.replace(first, message_id=f"n{number}", content=f"Number {number}")
        await gateway.answer(other, f"answer {number}")
    # A page that has not seen its own message end keeps it over the reload, beside the hundred.
    await expect(chat.locator(".turn")).to_have_count(103)
    await expect(chat.locator(".turn").first).to_contain_text("answer 0")
    await chat.reload()
    await expect(chat.locator(".turn")).to_have_count(100)
    await chat.locator("#earlier").click()
    await expect(chat.locator(".turn")).to_have_count(103)
    await expect(chat.locator("#earlier")).to_be_hidden()


async def test_shift_enter_breaks_the_line_and_the_box_grows(
    chat: Page, gateway: FakeGateway
) -> None:
    await chat.locator("#message").press_sequentially("one")
    before = await chat.locator("#message").evaluate("node => node.clientHeight")
    await chat.keyboard.press("Shift+Enter")
    await chat.keyboard.type("two")
    assert await chat.locator("#message").evaluate("node => node.clientHeight") > before
    await chat.keyboard.press("Enter")
    assert (await gateway.next_asked()).content == "one\ntwo"
    await expect(chat.locator("#message")).to_have_value("")
    assert await chat.locator("#message").evaluate("node => node.clientHeight") == before


async def test_nothing_empty_or_too_long_can_be_sent(chat: Page, gateway: FakeGateway) -> None:
    await chat.fill("#message", "  \n ")
    await expect(chat.locator("#send")).to_be_disabled()
    await chat.fill("#message", "ä" * 16_385)  # two bytes each: one too many
    await expect(chat.locator("#send")).to_be_disabled()
    await expect(chat.locator("#hint")).to_contain_text("too long to send")
    await chat.press("#message", "Enter")
    await chat.fill("#message", "ä" * 16_384)
    await expect(chat.locator("#send")).to_be_enabled()
    assert gateway.submitted == []


async def test_the_keyboard_alone_is_enough(chat: Page, gateway: FakeGateway) -> None:
    await chat.reload()
    await expect_connection(chat, "live")
    await expect(chat.locator("#message")).to_be_focused()
    await chat.keyboard.type("By keyboard")
    await chat.keyboard.press("Enter")
    message = await gateway.next_asked()
    await gateway.answer(message, "```\ncode\n```")
    await expect(answer(chat, message).locator("pre")).to_contain_text("code")
    first = "document.querySelector('a, button, input, textarea').dataset.skip"
    assert await chat.evaluate(first) == "message"
    await chat.locator("[data-skip=message]").focus()
    await chat.keyboard.press("Enter")
    await expect(chat.locator("#message")).to_be_focused()
    focused = "(({ ariaLabel, localName }) => ariaLabel ?? localName)(document.activeElement)"
    # Back from the message box: the answer's own buttons, its code, then the code's copy button.
    reached = []
    for _ in range(4):
        await chat.keyboard.press("Shift+Tab")
        reached.append(await chat.evaluate(focused))
    assert reached[:3] == ["Copy the answer", "pre", "Copy the code"]
    unnamed = await chat.evaluate(
        """() => [...document.querySelectorAll('button, textarea')].filter((node) =>
          !node.hidden && !node.getAttribute('aria-label') && !node.textContent.trim()
          && !node.labels?.length).map((node) => node.outerHTML)"""
    )
    assert unnamed == []


async def test_the_newest_line_stays_in_sight_until_the_reader_scrolls_up(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "Long")
    await gateway.start(message)
    await gateway.chunk(message, 1, LONG)
    await expect(answer(chat, message)).to_contain_text("Paragraph 59")
    await chat.wait_for_function(AT_END)
    await chat.locator("#scroller").hover()
    # One turn is enough also where the page draws before the browser tells of the scrolling.
    await chat.mouse.wheel(0, -300)
    for sequence, paragraphs in (2, 120), (3, 180):
        await gateway.chunk(message, sequence, "\n\n" + LONG)
        await expect(answer(chat, message).locator("p")).to_have_count(paragraphs)
    await expect(chat.locator("#jump")).to_be_visible()
    where = await chat.locator("#scroller").evaluate("node => node.scrollTop")
    await gateway.chunk(message, 4, "\n\n" + LONG)
    await expect(answer(chat, message).locator("p")).to_have_count(240)
    assert await chat.locator("#scroller").evaluate("node => node.scrollTop") == where
    await chat.locator("#jump").click()
    await chat.wait_for_function(AT_END)
    await expect(chat.locator("#jump")).to_be_hidden()
    await gateway.chunk(message, 5, "\n\nThe end.")
    await expect(answer(chat, message)).to_contain_text("The end.")
    await chat.wait_for_function(AT_END)


async def test_the_theme_follows_the_system_until_one_is_chosen(chat: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    await chat.emulate_media(color_scheme="light")
    light = await chat.evaluate(background)
    await chat.emulate_media(color_scheme="dark")
    dark = await chat.evaluate(background)
    assert light != dark
    await chat.click("#theme")
    assert await chat.evaluate(background) == light
    await chat.reload()
    assert await chat.evaluate(background) == light
    await chat.click("#theme")
    assert await chat.evaluate(background) == dark
    await chat.click("#theme")
    await chat.emulate_media(color_scheme="light")
    assert await chat.evaluate(background) == light


async def test_on_a_phone_nothing_is_wider_than_the_screen(
    phone: Page, gateway: FakeGateway
) -> None:
    wide = "x" * 400
    message = await ask_by_touch(phone, gateway, f"{wide} and words")
    table = f"| a | b | c |\n|---|---|---|\n| {wide} | 2 | 3 |"
    await gateway.answer(message, f"```\n{wide}\n```\n\n{wide}\n\n{table}")
    await expect(turn(phone, message).locator("table")).to_be_visible()
    assert await phone.evaluate("document.documentElement.scrollWidth") == 360
    assert await phone.evaluate("document.querySelector('#scroller').scrollWidth") <= 360
    # The list of chats lies over the conversation, and gives way.
    await expect(phone.locator("#sidebar")).to_be_hidden()
    await phone.get_by_role("button", name="Show the list of chats").click()
    await expect(phone.locator("#sidebar")).to_be_visible()
    await phone.keyboard.press("Escape")
    await expect(phone.locator("#sidebar")).to_be_hidden()


async def test_without_storage_the_chat_works(
    profile: BrowserContext, gateway: FakeGateway
) -> None:
    page = await profile.new_page()
    await page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } })"
    )
    await page.goto(gateway.url)
    message = await ask(page, gateway, "Hello?")
    await gateway.answer(message, "hello")
    await expect(answer(page, message)).to_have_text("hello")
    await page.click("#theme")


async def test_what_was_typed_and_not_sent_is_kept_for_each_chat(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "The first chat")
    await gateway.answer(message, "one")
    await chat.fill("#message", "half a sent")
    await chat.reload()
    await expect(chat.locator("#message")).to_have_value("half a sent")
    await expect(chat.locator("#send")).to_be_enabled()
    await chat.get_by_role("button", name="New chat").click()
    await expect(chat.locator("#message")).to_have_value("")
    await chat.fill("#message", "elsewhere")
    await chat.locator("#chats a").first.click()
    await expect(chat.locator("#message")).to_have_value("half a sent")
    await ask(chat, gateway, "a whole one")
    await chat.reload()
    await expect(chat.locator("#message")).to_have_value("")


async def test_after_a_button_that_goes_away_the_keyboard_is_in_the_message_box(
    chat: Page, gateway: FakeGateway
) -> None:
    await chat.locator("#examples button").first.focus()
    await chat.keyboard.press("Enter")
    message = await gateway.next_asked()
    await expect(chat.locator("#message")).to_be_focused()
    await gateway.start(message)
    await gateway.fail(message, "model_timeout")
    await turn(chat, message).get_by_role("button", name="Try again").click()
    await gateway.next_asked()
    await expect(chat.locator("#message")).to_be_focused()


async def test_the_keyboard_keeps_its_place_in_the_list_of_chats(
    chat: Page, gateway: FakeGateway
) -> None:
    for title in ("Oldest", "Middle", "Newest"):
        await ask(chat, gateway, title)
        await expect(chat.locator("#chats a").first).to_have_text(title)
        await chat.get_by_role("button", name="New chat").click()
    await chat.get_by_role("button", name="Remove “Middle” from this list").focus()
    await chat.keyboard.press("Enter")
    await expect(chat.locator("#chats a")).to_have_text(["Newest", "Oldest"])
    await expect(chat.get_by_role("button", name="Remove “Oldest” from this list")).to_be_focused()
    # Something is said in this chat meanwhile: the list is drawn anew.
    await chat.evaluate("dispatchEvent(new Event('storage'))")
    await chat.keyboard.press("Enter")
    await expect(chat.locator("#chats a")).to_have_text(["Newest"])
    await chat.keyboard.press("Enter")
    await expect(chat.get_by_role("button", name="New chat")).to_be_focused()


async def test_a_screen_reader_is_told_what_comes_and_not_what_was_there(
    chat: Page, gateway: FakeGateway
) -> None:
    transcript = chat.locator("#transcript")
    message = await ask(chat, gateway, "Hello?")
    await expect(transcript).to_have_attribute("aria-live", "polite")
    await gateway.answer(message, "hello")
    # The conversation is there again before anything of it could be read out.
    await chat.add_init_script(
        """addEventListener('DOMContentLoaded', () => {
          const transcript = document.querySelector('#transcript');
          new MutationObserver(() => { window.liveThen ??= transcript.ariaLive; })
            .observe(transcript, { childList: true });
        })"""
    )
    await chat.reload()
    await expect(answer(chat, message)).to_have_text("hello")
    assert await chat.evaluate("window.liveThen") == "off"
    await expect(transcript).to_have_attribute("aria-live", "polite")
