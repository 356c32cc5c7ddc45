"""The page never fights its reader: what is selected, focused or scrolled stays when text comes."""

import re

import msgspec
import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SELECT = """([node, from, to]) => {
  const text = document.createTreeWalker(node, NodeFilter.SHOW_TEXT).nextNode();
  getSelection().setBaseAndExtent(text, from, text, to);
}"""
SELECTED = "getSelection().toString()"
WIDE = "```js\n" + "const wide = 1; " * 40 + "\nconst next = 2;\n```\n\n"


async def test_a_selection_lives_through_the_rest_of_the_answer(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "go")
    await gateway.start(message)
    await gateway.chunk(message, 1, "The first paragraph.\n\nThe last one, as far")
    paragraphs = answer(chat, message).locator("p")
    await expect(paragraphs).to_have_count(2)
    for place, chosen in ((0, "first"), (1, "last")):
        await paragraphs.nth(place).evaluate(f"node => ({SELECT})([node, 4, {4 + len(chosen)}])")
        assert await chat.evaluate(SELECTED) == chosen
        await gateway.chunk(message, 2 + place, " as it has come")
        await expect(answer(chat, message)).to_contain_text(
            "as it has come" + " as it has come" * place
        )
        assert await chat.evaluate(SELECTED) == chosen
    await gateway.complete(message, 3)
    await expect(turn(chat, message).locator(".answer")).to_have_attribute("aria-busy", "false")
    assert await chat.evaluate(SELECTED) == "last"


async def test_sideways_scroll_and_focus_stay_when_the_answer_ends(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "go")
    await gateway.start(message)
    await gateway.chunk(message, 1, WIDE + "after ")
    pre = answer(chat, message).locator("pre")
    await expect(pre).to_be_visible()
    await pre.evaluate("node => { node.scrollLeft = 300; node.focus(); }")
    await gateway.chunk(message, 2, "it [late]\n\n")
    await gateway.chunk(message, 3, "More.\n\n[late]: https://example.org/")
    await gateway.complete(message, 3)
    await expect(turn(chat, message).locator(".answer")).to_have_attribute("aria-busy", "false")
    await expect(answer(chat, message).locator("a")).to_have_text("late")
    await expect(pre.locator("span").first).to_be_visible()  # coloured meanwhile
    assert await pre.evaluate("node => node.scrollLeft") == 300
    await expect(pre).to_be_focused()


@pytest.mark.parametrize("open_end", [False, True])
async def test_code_that_is_still_written_keeps_its_scroll(
    chat: Page, gateway: FakeGateway, open_end: bool
) -> None:
    message = await ask(chat, gateway, "go")
    await gateway.start(message)
    await gateway.chunk(message, 1, WIDE.removesuffix("\n```\n\n"))
    pre = answer(chat, message).locator("pre")
    await expect(pre).to_be_visible()
    await pre.evaluate("node => { node.scrollLeft = 200; }")
    await gateway.chunk(message, 2, "\nlast();" + ("" if open_end else "\n```\n"))
    await gateway.complete(message, 2)
    await expect(turn(chat, message).locator(".answer")).to_have_attribute("aria-busy", "false")
    await expect(pre).to_contain_text("last();")
    assert await pre.evaluate("node => node.scrollLeft") == 200


async def test_selected_code_is_not_coloured_before_it_is_let_go(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "go")
    await gateway.start(message)
    await gateway.chunk(message, 1, "```js\nconst one = 1;\n```")
    code = answer(chat, message).locator("code")
    await expect(code).to_contain_text("one")
    await code.evaluate(f"node => ({SELECT})([node, 6, 9])")
    await gateway.complete(message, 1)
    other = msgspec.structs.replace(message, message_id="of-another-client")
    await gateway.answer(other, "```js\nconst two = 2;\n```")
    await expect(answer(chat, other).locator("code span").first).to_be_visible()
    assert await chat.evaluate(SELECTED) == "one"
    await expect(code.locator("span")).to_have_count(0)
    await chat.evaluate("getSelection().removeAllRanges()")
    await expect(code.locator("span").first).to_be_visible()


LONG = {
    "list": "".join(f"- item {n}\n" for n in range(2_000)),
    "table": "| a | b |\n|---|---|\n" + "".join(f"| {n} | x |\n" for n in range(2_000)),
    "code": "```\n" + "".join(f"line {n}\n" for n in range(3_000)),
    "lines": "".join(f"Line {n} of it\n" for n in range(1_500)),
    "paragraphs": "".join(f"Paragraph {n}.\n\n" for n in range(1_500)),
}


def last_of(text: str) -> str:
    """Give the text of its last line, without what marks it."""
    return text.strip().split("\n")[-1].strip("-| x")


@pytest.mark.parametrize("kind", LONG)
async def test_what_is_finished_of_a_long_block_is_not_touched_again(
    chat: Page, gateway: FakeGateway, kind: str
) -> None:
    """Also within one block: a frame must cost what is new, not what is there."""
    text = LONG[kind]
    half = text.rindex("\n", 0, len(text) // 2) + 1
    message = await ask(chat, gateway, "go")
    await gateway.start(message)
    for sequence, place in enumerate(range(0, half, half // 4 + 1), start=1):
        await gateway.chunk(message, sequence, text[:half][place : place + half // 4 + 1])
    await expect(answer(chat, message)).to_contain_text(last_of(text[:half]))
    await answer(chat, message).evaluate(
        """(prose) => {
          const all = [...prose.querySelectorAll('*')];
          window.early = all.slice(0, all.length >> 1);
          const finished = new Set(window.early.filter((node) => node.firstElementChild === null));
          window.touched = 0;
          const watch = new MutationObserver((changes) => {
            for (const { target } of changes) {
              if (finished.has(target) || finished.has(target.parentNode)) window.touched += 1;
            }
          });
          watch.observe(prose, { childList: true, subtree: true, characterData: true });
        }"""
    )
    for sequence, place in enumerate(range(half, len(text), 2_000), start=10):
        await gateway.chunk(message, sequence, text[place : place + 2_000])
    await gateway.complete(message, 99)
    await expect(turn(chat, message).locator(".answer")).to_have_attribute("aria-busy", "false")
    end = r"\s*".join(re.findall(r"\w+\.?", text.strip().split("\n")[-1])) + r"\s*$"
    await expect(answer(chat, message)).to_have_text(re.compile(end))  # it is drawn in steps
    assert await chat.evaluate("window.early.every((node) => node.isConnected)")
    assert await chat.evaluate("window.touched") == 0
    words = await answer(chat, message).evaluate("node => node.textContent.replace(/\\s+/g, '')")
    marks = str.maketrans("", "", "-|` \n")
    words = words.translate(marks).replace("ab", "")  # a long table goes on with the same head
    assert words.endswith(text[-2000:].translate(marks))


async def test_a_list_keeps_its_numbers_however_long_it_is(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "count")
    text = "".join(f"{number}. number {number}\n" for number in range(3, 1_500))
    await gateway.start(message)
    for sequence, place in enumerate(range(0, len(text), 4_000), start=1):
        await gateway.chunk(message, sequence, text[place : place + 4_000])
        said = text[: place + 4_000].rstrip().split("\n")[-2].partition(" ")[2]
        await expect(answer(chat, message)).to_contain_text(said)
    await gateway.complete(message, 99)
    await expect(turn(chat, message).locator(".answer")).to_have_attribute("aria-busy", "false")
    await expect(answer(chat, message).locator("li").last).to_have_text("number 1499")
    numbers = await answer(chat, message).evaluate(
        """(prose) => [...prose.querySelectorAll('ol')].flatMap((list) =>
          [...list.children].map((item, at) => `number ${list.start + at}` === item.textContent))"""
    )
    assert len(numbers) == 1_497
    assert all(numbers)
