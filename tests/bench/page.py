"""`make bench-page`: what a long answer costs the page, in a real Chromium.

For each kind of text: the milliseconds of a step (a piece is put in and laid out) while the answer
is short and while it is long, and what its end blocks. Then the whole page: an answer over a
socket, and the CPU of the main thread while it comes and from its end on (trace.py).
"""

import argparse
import asyncio
import json
from typing import Any

from playwright.async_api import Page

from schemas.events import UserMessage
from tests.bench.trace import Trace
from tests.browser.fake_gateway import FakeGateway, running
from tests.browser.steps import ask
from tests.chromium import launched

ANSWER_CHARS = 200_000
PIECE_CHARS = 400
PAGE_LIMIT_MS = 60_000

MIXED = (
    "## A heading\n\nSome **bold** words and `code` in a line, and then more of them, as a model "
    "writes them, until the paragraph is over and another thing comes.\n\n- one\n- two\n- three\n\n"
    "```js\nconst a = 1;\nconsole.log(a);\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
)
KINDS = {
    "mixed": MIXED * (ANSWER_CHARS // len(MIXED) + 1),
    "one list": "".join(f"- item {n} with **bold** and `code`\n" for n in range(6_000)),
    "one table": "| a | b | c |\n|---|---|---|\n"
    + "".join(f"| {n} | **bold** | some words |\n" for n in range(6_000)),
    "one code": "```python\n" + "".join(f"print({n}, 'and so on')\n" for n in range(9_000)),
    "one paragraph": "".join(f"Line {n} of a *very* long text\n" for n in range(7_000)),
    "paragraphs": "".join(f"Paragraph {n} of a *very* long text.\n\n" for n in range(6_000)),
}

STEPS = """async ([text, size]) => {
  const { GrowingMarkdown } = await import('/markdown.js');
  const box = document.createElement('div');
  box.className = 'prose streaming';
  box.style.maxWidth = '700px';
  document.querySelector('#scroller').append(box);
  const growing = new GrowingMarkdown(box);
  const costs = [];
  const timed = (act) => {
    const began = performance.now();
    act();
    box.offsetHeight;
    return performance.now() - began;
  };
  for (let end = size; end < text.length; end += size) {
    const part = text.slice(0, end);
    costs.push(timed(() => growing.grow(part)));
    if (costs.length % 20 === 0) await new Promise(requestAnimationFrame);
  }
  const end = timed(() => { growing.finish(text); box.classList.remove('streaming'); });
  box.remove();
  const middle = (some) => [...some].sort((a, b) => a - b)[some.length >> 1];
  return {
    early: middle(costs.slice(20, 80)), late: middle(costs.slice(-60)),
    worst: Math.max(...costs), end,
  };
}"""


async def steps(page: Page, text: str) -> dict[str, float]:
    """The costs of a text that grows by itself, in milliseconds."""
    told: dict[str, float] = await page.evaluate(STEPS, [text, PIECE_CHARS])
    return {name: round(value, 2) for name, value in told.items()}


async def whole_page(page: Page, gateway: FakeGateway, text: str) -> dict[str, Any]:
    """The main thread's CPU in a chat: while an answer comes, and from its end on."""
    message: UserMessage = await ask(page, gateway, "go on")
    await gateway.start(message)
    pieces = [text[n : n + PIECE_CHARS] for n in range(0, len(text), PIECE_CHARS)]
    trace = await Trace.of(page)
    await trace.begin()
    for sequence, piece in enumerate(pieces, start=1):
        await gateway.chunk(message, sequence, piece)
        await asyncio.sleep(0.02)  # as a model would: what comes at once would be drawn at once
    settled = "([id, count]) => document.querySelectorAll(`[data-id='${id}'] .prose *`).length"
    await page.wait_for_function(
        f"given => ({settled})(given) > given[1]", arg=[message.message_id, 10]
    )
    await asyncio.sleep(1)
    streaming = await trace.end()
    await trace.begin()
    await gateway.complete(message, len(pieces))
    await page.wait_for_selector(f"[data-id='{message.message_id}'] .answer[aria-busy=false]")
    await asyncio.sleep(1)
    return {"streaming": streaming, "end": await trace.end()}


async def bench(kinds: list[str]) -> None:
    """Print a line of JSON a kind."""
    async with running() as gateway, launched() as browser:
        page = await browser.new_page()
        page.set_default_timeout(PAGE_LIMIT_MS)
        await page.goto(gateway.url)
        await page.wait_for_selector("#badge[data-state=live]")
        for kind in kinds:
            text = KINDS[kind][:ANSWER_CHARS]
            print(json.dumps({"kind": kind, "step_ms": await steps(page, text)}), flush=True)
        for kind in kinds:
            await page.goto(gateway.url)
            await page.wait_for_selector("#badge[data-state=live]")
            text = KINDS[kind][:ANSWER_CHARS]
            told = {"kind": kind, "page_cpu": await whole_page(page, gateway, text)}
            print(json.dumps(told), flush=True)


def main() -> None:
    """Measure the kinds that are named, or all."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("kinds", nargs="*", default=list(KINDS), help=", ".join(KINDS))
    asyncio.run(bench(arguments.parse_args().kinds))


if __name__ == "__main__":
    main()
