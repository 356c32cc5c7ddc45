"""What is long costs a frame no more than what is short, and a reader sees no difference."""

from itertools import pairwise

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

STEP_CHARS = 4_096  # of prose.js
WORDS = "".join(f"Paragraph {n} of a *very* long text.\n\n" for n in range(1_500))
MIXED = "".join(
    f"## Part {n}\n\nWords.\n\n- one\n- two\n\n---\n\n```js\nconst a = {n};\n```\n\n> said\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    for n in range(200)
)
WATCH = """() => {
  window.lengths = [];
  new MutationObserver(() => {
    const { length } = document.querySelector('.prose').textContent;
    if (length !== window.lengths.at(-1)) window.lengths.push(length);
  }).observe(document.querySelector('#transcript'), {
    childList: true, subtree: true, characterData: true,
  });
}"""
HEIGHTS = """() => {
  const { scrollHeight } = document.querySelector('#scroller');
  const tops = () => [...document.querySelectorAll('.section, .section:last-child > *')]
    .map((node) => Math.round(node.getBoundingClientRect().top));
  const before = tops();
  for (const section of document.querySelectorAll('.section')) {
    section.style.contentVisibility = 'visible';
  }
  return [scrollHeight, document.querySelector('#scroller').scrollHeight, before, tops()];
}"""


async def test_what_comes_at_once_is_drawn_step_by_step(chat: Page, gateway: FakeGateway) -> None:
    """Behind a slow network the rest of an answer came in one piece, and held the page up."""
    message = await ask(chat, gateway, "go")
    await gateway.start(message)
    await gateway.chunk(message, 1, WORDS[:100])
    await expect(answer(chat, message).locator("p").first).to_be_visible()
    await chat.evaluate(WATCH)
    gateway.held = True
    await gateway.chunk(message, 2, WORDS[100:])
    await gateway.complete(message, 2)
    gateway.held = False
    await gateway.deliver()
    await expect(answer(chat, message).locator("p")).to_have_count(1_500)
    await expect(turn(chat, message).locator(".answer")).to_have_attribute("aria-busy", "false")
    lengths = await chat.evaluate("window.lengths")
    assert len(lengths) > 10
    steps = [after - before for before, after in pairwise(lengths)]
    assert 0 < max(steps) <= STEP_CHARS
    assert await answer(chat, message).evaluate("node => node.textContent") == "".join(
        f"Paragraph {n} of a very long text.\n" for n in range(1_500)
    )


@pytest.mark.parametrize("text", [WORDS, MIXED], ids=["words", "mixed"])
async def test_what_is_out_of_sight_has_its_height(
    chat: Page, gateway: FakeGateway, text: str
) -> None:
    message = await ask(chat, gateway, "go")
    await gateway.start(message)
    await gateway.chunk(message, 1, text[:10_000])
    await expect(answer(chat, message).locator("p").first).to_be_visible()
    await gateway.chunk(message, 2, text[10_000:])
    await gateway.complete(message, 2)
    sections = answer(chat, message).locator(".section")
    await expect(answer(chat, message).locator(".section:not(.settled)")).to_have_count(0)
    assert await sections.count() > 1
    assert await sections.first.evaluate(
        "node => !node.firstElementChild.checkVisibility({ contentVisibilityAuto: true })"
    )
    told, whole, *tops = await chat.evaluate(HEIGHTS)
    assert abs(told - whole) <= 1
    assert tops[0] == tops[1]


SECTIONED = """async () => {
  const { renderMarkdown } = await import('/markdown.js');
  const above = ['p', '- l', '> q', '```\\nc\\n```', '|a|\\n|-|\\n|1|'];
  const below = [...above, '# h', '### h', '---'];
  const wrong = [];
  for (const first of above) for (const second of below) {
    if (first === second) continue; // two lists, two tables may be one that goes on
    const box = document.createElement('div');
    box.className = 'prose';
    document.querySelector('#scroller').append(box);
    box.append(renderMarkdown(first), renderMarkdown(second));
    const [one, two] = box.children;
    const gap = () => Math.round(two.getBoundingClientRect().top - one.getBoundingClientRect().bottom);
    const plain = gap();
    const section = document.createElement('div');
    section.className = 'section';
    two.before(section);
    section.append(two);
    if (gap() !== plain) wrong.push([first, second, plain, gap()]);
    box.remove();
  }
  return wrong;
}"""  # noqa: E501


async def test_a_section_begins_where_its_first_block_would(chat: Page) -> None:
    assert await chat.evaluate(SECTIONED) == []
