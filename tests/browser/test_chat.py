"""The conversation on the screen: streaming, stopping, queueing, failing."""

import msgspec
import pytest
from playwright.async_api import Page, expect

from schemas.events import FinishReason
from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, turn, write

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_an_answer_appears_while_it_is_written(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "Hello?")
    await expect(turn(chat, message).locator(".typing")).to_be_visible()
    await gateway.start(message)
    await expect(turn(chat, message).locator(".typing")).to_be_visible()
    await gateway.chunk(message, 1, "Hello ")
    await expect(answer(chat, message)).to_have_text("Hello")
    await expect(turn(chat, message).locator(".typing")).to_be_hidden()
    await gateway.chunk(message, 2, "**you**.")
    await expect(answer(chat, message).locator("strong")).to_have_text("you")
    await gateway.complete(message, 2)
    await expect(turn(chat, message).locator(".answer")).to_have_attribute("aria-busy", "false")
    await expect(chat.locator("#stop")).to_be_hidden()


async def test_merged_chunks_are_read_as_one(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "Count")
    await gateway.start(message)
    await gateway.chunk(message, 1, "1 ")
    gateway.held = True
    for sequence in range(2, 60):
        await gateway.chunk(message, sequence, f"{sequence} ")
    gateway.held = False
    await gateway.deliver()
    await gateway.complete(message, 59)
    await expect(answer(chat, message)).to_have_text(" ".join(map(str, range(1, 60))))
    await expect(turn(chat, message).locator(".notes")).to_be_empty()


async def test_an_answer_that_starts_again_begins_anew(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "Hello?")
    await gateway.start(message, "a1", generation=1)
    await gateway.chunk(message, 1, "first try")
    await gateway.start(message, "a2", generation=2)
    await expect(turn(chat, message).locator(".notes")).to_have_text(
        "The answer was started again."
    )
    await chat.reload()
    await expect(turn(chat, message).locator(".notes")).to_have_text(
        "The answer was started again."
    )
    await gateway.chunk(message, 2, "zombie", attempt="a1")
    await gateway.chunk(message, 1, "second try", attempt="a2")
    await gateway.complete(message, 1, attempt="a2")
    await expect(answer(chat, message)).to_have_text("second try")
    await expect(turn(chat, message).locator(".small-print")).to_contain_text("2 tries")


async def test_a_hole_in_an_answer_is_told(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "Hello?")
    await gateway.start(message)
    await gateway.chunk(message, 1, "one ")
    await gateway.chunk(message, 3, "three")
    await expect(turn(chat, message).locator(".notes")).to_contain_text("was lost on the way")
    await expect(answer(chat, message)).to_have_text("one three")


async def test_a_failure_is_told_in_words_and_can_be_tried_again(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "Hello?")
    await gateway.start(message)
    await gateway.chunk(message, 1, "half an ans")
    await gateway.fail(message, "model_unavailable")
    failure = turn(chat, message).locator(".failure")
    await expect(failure).to_contain_text("The model can’t be reached right now.")
    await expect(failure).not_to_contain_text("503")
    await expect(answer(chat, message)).to_have_text("half an ans")
    await failure.get_by_role("button", name="Try again").click()
    again = await gateway.next_asked()
    assert again.content == "Hello?"
    assert again.message_id != message.message_id


async def test_a_failure_for_good_offers_no_retry(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "Hello?")
    await gateway.start(message)
    await gateway.fail(message, "context_too_long", retryable=False)
    await expect(turn(chat, message).locator(".failure")).to_contain_text("too long for the model")
    await expect(turn(chat, message).locator(".failure button")).to_have_count(0)


async def test_a_refused_message_can_be_sent_again_or_removed(
    chat: Page, gateway: FakeGateway
) -> None:
    gateway.refuses = "rate_limited"
    await write(chat, "One")
    refused = chat.locator(".turn.refused")
    await expect(refused).to_contain_text("Too many messages in a short time")
    gateway.refuses = None
    await refused.get_by_role("button", name="Try again").click()
    message = await gateway.next_asked()
    assert [m.message_id for m in gateway.submitted] == [message.message_id] * 2
    await gateway.answer(message, "one")
    await expect(answer(chat, message)).to_have_text("one")

    gateway.refuses = "unavailable"
    await write(chat, "Two")
    await refused.get_by_role("button", name="Remove").click()
    await expect(chat.locator(".turn")).to_have_count(1)


async def test_an_unknown_outcome_is_sent_again_as_the_same_message(
    chat: Page, gateway: FakeGateway
) -> None:
    gateway.refuses = "outcome_unknown"
    await write(chat, "Once")
    await expect(chat.locator(".notes")).to_contain_text("sending again")
    gateway.refuses = None
    message = await gateway.next_asked()
    assert {m.message_id for m in gateway.submitted} == {message.message_id}
    await gateway.answer(message, "once")
    await expect(answer(chat, message)).to_have_text("once")
    await expect(chat.locator(".turn")).to_have_count(1)


@pytest.mark.parametrize("way", ["button", "Escape"])
async def test_stop_keeps_the_text(chat: Page, gateway: FakeGateway, way: str) -> None:
    message = await ask(chat, gateway, "Write a lot")
    await gateway.start(message)
    await gateway.chunk(message, 1, "So far")
    await expect(answer(chat, message)).to_have_text("So far")
    if way == "button":
        await chat.get_by_role("button", name="Stop the answer").click()
    else:
        await chat.keyboard.press("Escape")
    assert (await gateway.next_stop()).message_id == message.message_id
    await expect(turn(chat, message).locator(".notes")).to_have_text("Stopping…")
    await gateway.complete(message, 1, "cancelled")
    await expect(turn(chat, message).locator(".notes")).to_have_text("This answer was stopped.")
    await expect(answer(chat, message)).to_have_text("So far")
    await expect(chat.locator("#message")).to_be_focused()


async def test_a_stop_that_is_not_possible_is_told(chat: Page, gateway: FakeGateway) -> None:
    gateway.can_stop = False
    message = await ask(chat, gateway, "Write a lot")
    await gateway.start(message)
    await chat.get_by_role("button", name="Stop the answer").click()
    await expect(chat.locator("#toast")).to_contain_text("isn’t possible here yet")
    await gateway.chunk(message, 1, "It goes on")
    await expect(answer(chat, message)).to_have_text("It goes on")
    await expect(chat.locator("#stop")).to_be_visible()


async def test_a_message_sent_meanwhile_waits_in_line(chat: Page, gateway: FakeGateway) -> None:
    first = await ask(chat, gateway, "First")
    await gateway.start(first)
    await gateway.chunk(first, 1, "on it")
    second = await ask(chat, gateway, "Second")
    await gateway.queued(second, 1)
    third = await ask(chat, gateway, "Third")
    await gateway.queued(third, 2)
    await expect(turn(chat, second)).to_contain_text("Waiting, 1st in line")
    await expect(turn(chat, third)).to_contain_text("Waiting, 2nd in line")
    await gateway.complete(first, 1)
    await expect(turn(chat, third)).to_contain_text("Waiting, 1st in line")
    await gateway.start(second)
    await gateway.chunk(second, 1, "your turn")
    await expect(turn(chat, second)).not_to_contain_text("Waiting")
    # A queued message can be stopped as well: first the one that runs, then the next.
    await chat.keyboard.press("Escape")
    assert (await gateway.next_stop()).message_id == second.message_id
    await gateway.complete(second, 1, "cancelled")
    await expect(turn(chat, second)).to_contain_text("This answer was stopped.")
    await chat.keyboard.press("Escape")
    assert (await gateway.next_stop()).message_id == third.message_id


async def test_a_message_that_waits_can_be_taken_back(chat: Page, gateway: FakeGateway) -> None:
    first = await ask(chat, gateway, "First")
    await gateway.start(first)
    await gateway.chunk(first, 1, "on it")
    second = await ask(chat, gateway, "Second")
    await gateway.queued(second, 1)
    third = await ask(chat, gateway, "Third")
    await gateway.queued(third, 2)
    take_back = turn(chat, third).get_by_role("button", name="Take back")
    await take_back.focus()
    await chat.keyboard.press("Enter")
    assert (await gateway.next_stop()).message_id == third.message_id
    await expect(turn(chat, third)).to_contain_text("Stopping…")
    await expect(take_back).to_have_count(0)
    await expect(chat.locator("#message")).to_be_focused()
    await gateway.end_unstarted(third, "cancelled")
    await expect(turn(chat, third)).to_contain_text("This answer was stopped.")
    await expect(turn(chat, second)).to_contain_text("Waiting, 1st in line")


@pytest.mark.parametrize("reason", ["cancelled", "interrupted", "incomplete"])
async def test_an_answer_that_was_not_finished_can_be_asked_for_again(
    chat: Page, gateway: FakeGateway, reason: FinishReason
) -> None:
    message = await ask(chat, gateway, "Tell me all")
    await gateway.start(message)
    await gateway.chunk(message, 1, "Not al")
    await gateway.complete(message, 1, reason)
    await turn(chat, message).get_by_role("button", name="Ask again").click()
    again = await gateway.next_asked()
    assert again.content == "Tell me all"
    assert again.message_id != message.message_id
    await gateway.answer(again, "All")
    await expect(turn(chat, again).get_by_role("button", name="Ask again")).to_have_count(0)


async def test_a_message_of_another_client_is_shown(chat: Page, gateway: FakeGateway) -> None:
    mine = await ask(chat, gateway, "Mine")
    other = msgspec.structs.replace(mine, message_id="x", content="From elsewhere")
    await gateway.queued(other, 1)
    await expect(turn(chat, other).locator(".bubble")).to_have_text("From elsewhere")
    await gateway.end_unstarted(other, "cancelled")
    await expect(turn(chat, other)).to_contain_text("This answer was stopped.")


async def test_an_example_starts_the_chat(chat: Page, gateway: FakeGateway) -> None:
    await expect(chat.locator("#welcome")).to_be_visible()
    example = chat.locator("#examples button").first
    words = await example.locator("span").text_content()
    await example.click()
    assert (await gateway.next_asked()).content == words
    await expect(chat.locator("#welcome")).to_be_hidden()


async def test_copy_buttons_give_the_text_as_it_was_written(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "Code")
    text = "Run **this**:\n\n```sh\nmake run\nmake test\n```\n"
    await gateway.answer(message, text)
    await turn(chat, message).get_by_role("button", name="Copy the code").click()
    await expect(turn(chat, message).locator(".copy-code")).to_contain_text("Copied")
    assert await chat.evaluate("navigator.clipboard.readText()") == "make run\nmake test\n"
    await turn(chat, message).get_by_role("button", name="Copy the answer").click()
    await chat.wait_for_function(
        "text => navigator.clipboard.readText().then((now) => now === text)", arg=text
    )


async def test_streaming_redraws_only_the_last_block(chat: Page, gateway: FakeGateway) -> None:
    earlier = await ask(chat, gateway, "Before")
    await gateway.answer(earlier, "An **old** answer.")
    message = await ask(chat, gateway, "Long")
    await gateway.start(message)
    await gateway.chunk(message, 1, "First block.\n\nSecond block.\n\nThird")
    # What reads Markdown may come late; until then there are no blocks that could stay.
    await expect(answer(chat, earlier).locator("strong")).to_be_visible()
    await expect(answer(chat, message).locator("p")).to_have_count(3)
    await chat.evaluate(
        """() => {
          window.touched = 0;
          const settled = [...document.querySelectorAll('.prose')].flatMap((prose, index) =>
            index === 0 ? [prose] : [...prose.querySelectorAll('p')].slice(0, 2));
          const watch = new MutationObserver((changes) => { window.touched += changes.length; });
          const options = { childList: true, subtree: true, characterData: true };
          for (const node of settled) watch.observe(node, options);
          window.settled = settled;
        }"""
    )
    for sequence in range(2, 40):
        await gateway.chunk(message, sequence, f" word{sequence}")
    await expect(answer(chat, message)).to_contain_text("word39")
    assert await chat.evaluate("window.touched") == 0
    assert await chat.evaluate("window.settled.every((node) => node.isConnected)")
