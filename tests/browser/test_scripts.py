"""Every script is read the way it runs, and Markdown the way it is written in it."""

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MIXED = """# مرحبا بالعالم

هذه فقرة فيها `code(1);` ورقم 12.

An English paragraph after it.

- عنصر أول
- second item

> اقتباس

```js
const ok = "نعم";
```

| الاسم | value |
|---|---|
| سارة | 7 |

`code` ثم كلمات
"""


async def runs(node: Locator) -> str:
    """Which way the text of the node runs."""
    return str(await node.evaluate("node => getComputedStyle(node).direction"))


async def test_each_block_runs_as_its_first_letter_says(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "مرحبا\nHello")
    await gateway.answer(message, MIXED)
    prose = answer(chat, message)
    await expect(prose.locator("table")).to_be_visible()
    expected = {
        "h1": "rtl",
        "p >> nth=0": "rtl",
        "p >> text=An English": "ltr",
        "li >> nth=0": "rtl",
        "li >> nth=1": "ltr",
        "blockquote": "rtl",
        "table": "rtl",
        "td >> nth=1": "rtl",
        "p >> text=ثم كلمات": "rtl",
        "pre": "ltr",
        "p code >> nth=0": "ltr",
    }
    told = {place: await runs(prose.locator(place).first) for place in expected}
    assert told == expected
    for code in await prose.locator("code, pre").all():
        isolated = await code.evaluate("node => getComputedStyle(node).unicodeBidi")
        assert "isolate" in isolated
    # The line of a quotation stands where its text begins.
    border = "node => getComputedStyle(node).borderRightWidth"
    assert await prose.locator("blockquote").evaluate(border) == "3px"


async def test_code_does_not_turn_the_sentence_around_it(chat: Page, gateway: FakeGateway) -> None:
    """The code's brackets stay in it, and what follows it goes on to its left."""
    message = await ask(chat, gateway, "code")
    await gateway.answer(message, "استخدم `f(a)[0];` ثم أكمل")
    code = answer(chat, message).locator("p code")
    places = await code.evaluate(
        """(code) => {
          const text = code.nextSibling;
          const range = document.createRange();
          range.setStart(text, 1);
          range.setEnd(text, 3);
          return [range.getBoundingClientRect().right, code.getBoundingClientRect().left];
        }"""
    )
    assert places[0] <= places[1] + 1


async def test_what_is_typed_runs_as_it_is_written(chat: Page, gateway: FakeGateway) -> None:
    await chat.fill("#message", "שלום")
    assert await runs(chat.locator("#message")) == "rtl"
    message = await ask(chat, gateway, "שלום עולם")
    await gateway.answer(message, "ok")
    assert await runs(turn(chat, message).locator(".bubble")) == "rtl"


async def test_items_that_run_the_other_way_keep_their_marks_in_the_box(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "list")
    await gateway.answer(message, "- first\n- שלום\n\nand\n\n1. שלום\n2. second")
    prose = answer(chat, message)
    await expect(prose.locator("ol")).to_be_visible()
    inside = """(item) => {
      const box = item.closest('.prose').getBoundingClientRect();
      const own = item.getBoundingClientRect();
      const rtl = getComputedStyle(item).direction === 'rtl';
      return rtl ? box.right - own.right : own.left - box.left;
    }"""
    for item in await prose.locator("li").all():
        assert await item.evaluate(inside) >= 16  # room for the mark


async def test_emphasis_closes_beside_cjk(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "強調")
    await gateway.answer(message, "これは**「重要」**なことです。")
    await expect(answer(chat, message).locator("strong")).to_have_text("「重要」")
    await expect(answer(chat, message)).to_have_text("これは「重要」なことです。")


async def test_tasks_show_whether_they_are_done(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "tasks")
    await gateway.answer(message, "- [ ] write it\n- [x] read it\n")
    boxes = answer(chat, message).get_by_role("checkbox")
    await expect(boxes).to_have_count(2)
    await expect(boxes.nth(0)).not_to_be_checked()
    await expect(boxes.nth(1)).to_be_checked()
    await expect(answer(chat, message)).to_have_text("write it read it", use_inner_text=True)


async def test_footnotes_lead_there_and_back_and_leave_the_address_alone(
    chat: Page, gateway: FakeGateway
) -> None:
    address = chat.url
    message = await ask(chat, gateway, "notes")
    await gateway.start(message)
    await gateway.chunk(message, 1, "A word[^1], and [^a-z] is no note.\n\n[^1]: What is ")
    reference = answer(chat, message).get_by_role("button", name="Footnote 1", exact=True)
    await expect(reference).to_be_visible()
    await gateway.chunk(message, 2, "said **of it**.")
    await gateway.complete(message, 2)
    await expect(answer(chat, message)).to_contain_text("[^a-z] is no note")
    await reference.click()
    back = answer(chat, message).get_by_role("button", name="Footnote 1: back to the text")
    await expect(back).to_be_focused()
    await chat.keyboard.press("Enter")
    await expect(reference).to_be_focused()
    assert chat.url == address


async def test_half_written_markdown_shows_what_it_will_be(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "half")
    await gateway.start(message)
    await gateway.chunk(message, 1, "This is **very im")
    await expect(answer(chat, message).locator("strong")).to_have_text("very im")
    await expect(answer(chat, message)).to_have_text("This is very im")
    await gateway.chunk(message, 2, "portant**, see [the words](https://example.org/lo")
    await expect(answer(chat, message)).to_have_text("This is very important, see the words")
    await gateway.chunk(message, 3, "ng) or `co")
    await expect(answer(chat, message).locator("a")).to_have_text("the words")
    await expect(answer(chat, message).locator("code")).to_have_text("co")
    await gateway.chunk(message, 4, "de`.\n\n| a | b")
    await expect(answer(chat, message).locator("th")).to_have_text(["a", "b"])
    await gateway.complete(message, 4)
    await expect(answer(chat, message)).to_contain_text("| a | b")
