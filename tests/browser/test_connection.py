"""The network breaks, the gateway goes away, tabs come and go: the text is always the log's."""

import asyncio

import pytest
from playwright.async_api import BrowserContext, Page, expect

from schemas.close_codes import CloseCode
from schemas.frames import Reconnect
from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, expect_connection, turn, write

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("resumes", [True, False], ids=["resumed", "snapshot"])
async def test_cuts_in_mid_answer_lose_and_repeat_nothing(
    chat: Page, gateway: FakeGateway, resumes: bool
) -> None:
    gateway.resumes = resumes
    message = await ask(chat, gateway, "Count")
    await gateway.start(message)
    for sequence in range(1, 61):
        await gateway.chunk(message, sequence, f"{sequence} ")
        if sequence % 20 == 0:
            # What is on its way is lost with the socket, what comes meanwhile waits in the log.
            connected = len(gateway.addresses)
            gateway.cut()
            await gateway.until_connected(connected + 1)
    await gateway.complete(message, 60)
    await expect(answer(chat, message)).to_have_text(" ".join(map(str, range(1, 61))))
    await expect(turn(chat, message).locator(".answer")).to_have_attribute("aria-busy", "false")
    assert all(address.cursor for address in gateway.addresses[1:])


async def test_an_outage_is_told_and_messages_wait_for_its_end(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "Before")
    await gateway.answer(message, "still here")
    await gateway.stop_listening()
    await expect(chat.locator("#banner")).to_contain_text("Reconnecting")
    await expect(answer(chat, message)).to_have_text("still here")
    await write(chat, "Meanwhile")
    await expect(chat.locator(".turn").last).to_contain_text("Sending…")
    await gateway.listen()
    meanwhile = await gateway.next_asked()
    assert meanwhile.content == "Meanwhile"
    await gateway.answer(meanwhile, "got it")
    await expect(answer(chat, meanwhile)).to_have_text("got it")
    await expect(chat.locator("#banner")).to_be_hidden()
    await expect(chat.locator(".turn")).to_have_count(2)


async def test_try_now_does_not_wait(chat: Page, gateway: FakeGateway) -> None:
    await chat.clock.install(time=0)
    await gateway.stop_listening()
    await expect_connection(chat, "waiting")
    await chat.clock.pause_at(3600)  # an hour on; from here the page's clock goes by our hand alone
    for _ in range(6):  # the waits grow until they are long
        await expect_connection(chat, "waiting")
        await chat.clock.run_for(16_000)
    await expect_connection(chat, "waiting")
    await gateway.listen()
    await chat.get_by_role("button", name="Try now").dispatch_event("click")
    await expect_connection(chat, "live")


async def test_offline_is_told_and_online_connects_at_once(
    chat: Page, gateway: FakeGateway, profile: BrowserContext
) -> None:
    await profile.set_offline(True)
    gateway.cut()
    await expect(chat.locator("#banner")).to_contain_text("You are offline")
    await profile.set_offline(False)
    await expect_connection(chat, "live")


async def test_sent_but_never_accepted_is_sent_again_once_connected(
    chat: Page, gateway: FakeGateway
) -> None:
    gateway.accepts = False
    message = await ask(chat, gateway, "Hello?")
    gateway.cut()
    again = await gateway.next_asked()
    assert again.message_id == message.message_id
    await gateway.answer(message, "hello")
    await expect(answer(chat, message)).to_have_text("hello")
    await expect(chat.locator(".turn")).to_have_count(1)


async def test_without_the_database_live_goes_on(chat: Page, gateway: FakeGateway) -> None:
    first = await ask(chat, gateway, "Before")
    await gateway.answer(first, "old")
    gateway.resumes = gateway.postgres = False
    gateway.cut()
    await expect(chat.locator("#banner")).to_contain_text("Earlier messages can’t be loaded")
    message = await ask(chat, gateway, "Now")
    await gateway.answer(message, "new")
    await expect(answer(chat, message)).to_have_text("new")
    gateway.postgres = True
    gateway.cut()
    await expect(chat.locator(".turn")).to_have_count(2)
    await expect(chat.locator("#banner")).to_be_hidden()
    # The snapshot was asked for without a cursor: what had come before it was not the whole.
    assert gateway.addresses[-1].cursor is None


async def test_a_reload_in_mid_answer_goes_on(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "Hello?")
    await gateway.start(message)
    await gateway.chunk(message, 1, "one ")
    await expect(answer(chat, message)).to_have_text("one")
    await chat.reload()
    await expect(answer(chat, message)).to_have_text("one")
    await expect(turn(chat, message).locator(".bubble")).to_have_text("Hello?")
    await gateway.chunk(message, 2, "two")
    await gateway.complete(message, 2)
    await expect(answer(chat, message)).to_have_text("one two")


async def test_a_reload_before_the_first_event_loses_no_message(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "Are you there?")
    await expect(turn(chat, message).locator(".typing")).to_be_visible()
    await chat.reload()
    await expect(turn(chat, message).locator(".bubble")).to_have_text("Are you there?")
    assert (await gateway.next_asked()).message_id == message.message_id
    await gateway.answer(message, "yes")
    await expect(answer(chat, message)).to_have_text("yes")
    await chat.reload()
    await expect(answer(chat, message)).to_have_text("yes")
    await expect(chat.locator(".turn")).to_have_count(1)
    assert len(gateway.submitted) == 2


async def test_two_tabs_show_the_same(
    chat: Page, gateway: FakeGateway, profile: BrowserContext
) -> None:
    other = await profile.new_page()
    await other.goto(chat.url)
    await expect_connection(other, "live")
    message = await ask(chat, gateway, "From the first tab")
    await gateway.start(message)
    await gateway.chunk(message, 1, "for both")
    for page in (chat, other):
        await expect(turn(page, message).locator(".bubble")).to_have_text("From the first tab")
        await expect(answer(page, message)).to_have_text("for both")
    await other.get_by_role("button", name="Stop the answer").click()
    assert (await gateway.next_stop()).message_id == message.message_id
    await gateway.complete(message, 1, "cancelled")
    for page in (chat, other):
        await expect(turn(page, message).locator(".notes")).to_have_text("This answer was stopped.")


async def test_a_draining_gateway_is_left_before_it_closes(
    chat: Page, gateway: FakeGateway
) -> None:
    session_id = gateway.addresses[0].session_id
    await gateway.say(Reconnect(session_id=session_id, after_ms=50))
    await gateway.until_connected(2)
    await expect_connection(chat, "live")
    assert gateway.addresses[1].cursor is not None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (CloseCode.FORBIDDEN, "You don’t have access to this chat."),
        (CloseCode.UNAUTHENTICATED, "Sign in again"),
        (CloseCode.PROTOCOL_ERROR, "Reload the page"),
    ],
)
async def test_a_close_for_good_says_why(
    chat: Page, gateway: FakeGateway, code: CloseCode, words: str
) -> None:
    await gateway.close_all(code)
    await expect(chat.locator("#banner")).to_contain_text(words)
    await expect_connection(chat, "stopped")


async def test_an_idle_socket_wakes_when_something_is_said(
    chat: Page, gateway: FakeGateway
) -> None:
    await gateway.close_all(CloseCode.IDLE)
    await expect_connection(chat, "sleeping")
    message = await ask(chat, gateway, "Good morning")
    assert message.content == "Good morning"
    await expect_connection(chat, "live")


async def test_an_address_that_can_be_none_is_told(
    profile: BrowserContext, gateway: FakeGateway
) -> None:
    page = await profile.new_page()
    await page.goto(f"{gateway.url}#/s/no%20such%20id")
    await expect(page.locator("#banner")).to_contain_text("address isn’t valid")


async def test_the_simplest_client_works_in_the_console(chat: Page, gateway: FakeGateway) -> None:
    received = chat.evaluate(
        """(host) => new Promise((resolve) => {
          const seen = [];
          const ws = new WebSocket(`ws://${host}/ws/chat/test_session/`);
          ws.onmessage = (event) => {
            seen.push(JSON.parse(event.data));
            if (seen.at(-1).type === 'ai_response_complete') resolve(seen.map(({ type }) => type));
          };
          ws.onopen = () => ws.send(JSON.stringify({ type: 'user_message', content: 'Hello' }));
        })""",
        f"127.0.0.1:{gateway.port}",
    )
    seen = asyncio.ensure_future(received)
    message = await gateway.next_asked()
    await gateway.answer(message, "hi")
    assert (await seen)[-3:] == ["status", "ai_response_chunk", "ai_response_complete"]
