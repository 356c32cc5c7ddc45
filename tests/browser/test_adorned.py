"""Coloured code and formulas: made of a model's text by libraries, and held by the same walls."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FORMULAS = r"""Inline $x^2$ and \(y_1\), and by itself:

$$
\frac{\sqrt{a}}{b} = \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}
$$

\[ \overbrace{a+b}^{\text{both}} \]

It costs $5, or $10; and `$no$`.
"""

HOSTILE = [
    r"$\href{javascript:window.hit=1}{x}$",
    r"$\url{javascript:window.hit=1}$",
    r"$\includegraphics{https://evil.example/pixel.png}$",
    r"$\htmlStyle{position:fixed;inset:0}{x}$",
    r"$\htmlClass{prompt}{x}$",
    r"$\htmlId{message}{x}$",
    r"$\htmlData{action=again}{x}$",
    r"$\text{<img src=x onerror=window.hit=1>}$",
    r"$\def\a{\a\a}\a$",
    r"$\rule{9999em}{9999em}$",
    r"$\kern-9999em x$",
    r"$\color{url(https://evil.example/)}x$",
    "```html\n<img src=x onerror=window.hit=1><script>window.hit=1</script>\n```",
    "```js\n`${window.hit = 1}`; '</span><img src=x onerror=window.hit=1>'\n```",
    "```xml\n<![CDATA[</code></pre><script>window.hit=1</script>]]>\n```",
]

WHAT_LIVES = """() => [...document.querySelectorAll('.prose *')].flatMap((node) => {
  const found = [];
  if (/^(script|style|iframe|object|embed|form|input|img|base|meta|link|template|a)$/i
      .test(node.localName)) found.push(node.localName);
  for (const { name, value } of node.attributes) {
    if (/^on|href|^src/.test(name)) found.push(`${node.localName} ${name}`);
    if (name === 'id' || (name === 'style' && /url|fixed|absolute|expression/.test(value))) {
      found.push(`${name} ${value}`);
    }
    const own = node.localName === 'button' || /^data-(note|busy)$/.test(name);
    if (name.startsWith('data-') && !own) found.push(name);
  }
  return found;
})"""


async def test_formulas_are_set_and_dollars_stay_dollars(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "math")
    await gateway.answer(message, FORMULAS)
    prose = answer(chat, message)
    await expect(prose.locator(".katex")).to_have_count(4)
    await expect(prose.locator(".katex-display")).to_have_count(2)
    await expect(prose).to_contain_text("It costs $5, or $10; and $no$.")
    # For who can't see them they are there as MathML, and their sizes have come through.
    await expect(prose.locator("math")).to_have_count(4)
    assert await prose.locator(".katex-display [style*=height]").count() > 0
    assert await prose.locator(".frac-line").evaluate("node => node.offsetWidth") > 0
    font = "document.fonts.check('16px KaTeX_Main') && document.fonts.size > 0"
    await chat.wait_for_function(font)


async def test_a_formula_is_set_while_the_text_goes_on_and_half_of_one_is_not(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "math")
    await gateway.start(message)
    await gateway.chunk(message, 1, "so $x^2$ is")
    await expect(answer(chat, message).locator(".katex")).to_have_count(1)
    await answer(chat, message).locator(".katex").evaluate("node => { node.mine = true; }")
    await gateway.chunk(message, 2, " what\n\n$$\n\\frac{1}{")
    await expect(answer(chat, message).locator(".math-open")).to_have_text("\\frac{1}{")
    await gateway.chunk(message, 3, "2}\n$$\n")
    await expect(answer(chat, message).locator(".katex")).to_have_count(2)
    await gateway.complete(message, 3)
    assert await answer(chat, message).locator(".katex").first.evaluate("node => node.mine")


async def test_code_is_coloured_and_copied_as_it_was_written(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "code")
    text = "const a = '<b>';\nif (a) return 1; // yes\n"
    await gateway.answer(message, f"```js\n{text}```\n\n```nosuchlanguage\nplain\n```")
    code = answer(chat, message).locator("code")
    await expect(code.first.locator(".hljs-keyword").first).to_have_text("const")
    colours = await code.first.evaluate(
        "node => [...node.querySelectorAll('span')].map((one) => getComputedStyle(one).color)"
    )
    assert len(set(colours)) > 2
    await turn(chat, message).get_by_role("button", name="Copy the code").first.click()
    assert await chat.evaluate("navigator.clipboard.readText()") == text
    await expect(code.last.locator("*")).to_have_count(0)


LONG_CODE = "".join(f"const a{n} = `one <\n  & two`; // {n}\n" for n in range(4_000))
"""About 140,000 characters. Its strings go on over line ends, and so over the ends of pieces."""
SHORT_PAUSES = """window.pauses = 0;
window.requestIdleCallback = (work) => setTimeout(() => {
  window.pauses += 1;
  work({ didTimeout: true, timeRemaining: () => 0 });
});"""
"""Pauses that have room for one piece of work each."""
COLOURED = """() => [...document.querySelector('.prose code')?.childNodes ?? [null]].every(
  (piece) => piece?.querySelector?.('.hljs-keyword'))"""


@pytest.mark.parametrize("grows", [True, False])
async def test_long_code_is_coloured_piece_by_piece(
    chat: Page, gateway: FakeGateway, grows: bool
) -> None:
    """It was left plain, since colouring all of it at once held the page for a second."""
    await chat.add_init_script(SHORT_PAUSES)
    await chat.reload()
    message = await ask(chat, gateway, "code")
    code = answer(chat, message).locator("code")
    await gateway.start(message)
    half = len(LONG_CODE) // 2 if grows else 0
    if grows:
        await gateway.chunk(message, 1, f"```js\n{LONG_CODE[:5_000]}")
        await gateway.chunk(message, 2, LONG_CODE[5_000:half])
        await expect(code).to_have_text(LONG_CODE[:half])
    await gateway.chunk(
        message, 3 if grows else 1, LONG_CODE[half:] if grows else f"```js\n{LONG_CODE}"
    )
    await gateway.complete(message, 3 if grows else 1)
    await chat.wait_for_function(COLOURED)
    assert await code.evaluate("node => node.textContent") == LONG_CODE
    assert await chat.evaluate("window.pauses") > await code.evaluate(
        "node => node.children.length"
    )
    assert await code.evaluate("node => node.children.length") > 20
    strings = await code.locator(".hljs-string").all_text_contents()
    assert sum(map(len, strings)) == 4_000 * len("`one <\n  & two`")


async def test_long_code_in_a_language_nobody_knows_stays_plain_and_holds_up_nobody(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "code")
    await gateway.answer(message, f"```nosuch\n{LONG_CODE}```\n\n```js\n{LONG_CODE}```")
    code = answer(chat, message).locator("code")
    await expect(code.last.locator(".hljs-keyword").first).to_be_visible()
    await expect(code.first.locator(".hljs-keyword")).to_have_count(0)
    assert await code.first.evaluate("node => node.textContent") == LONG_CODE


async def test_what_is_selected_in_long_code_is_left_until_it_is_let_go(
    chat: Page, gateway: FakeGateway
) -> None:
    while True:
        message = await ask(chat, gateway, "code")
        await gateway.start(message)
        await gateway.chunk(message, 1, f"```js\n{LONG_CODE}```\n")
        code = answer(chat, message).locator("code")
        await expect(code).to_have_text(LONG_CODE)
        await code.evaluate(
            "node => getSelection().setBaseAndExtent(node.firstChild, 0, node.firstChild, 1)"
        )
        if not await code.locator(".hljs-keyword").count():
            break
        await gateway.complete(message, 1)  # the colours were quicker than the hand
    await gateway.chunk(message, 2, "\n$x^2$\n")
    await gateway.complete(message, 2)
    await expect(answer(chat, message).locator(".katex")).to_have_count(1)
    await expect(code.locator(".hljs-keyword")).to_have_count(0)
    await chat.evaluate("getSelection().removeAllRanges()")
    await expect(code.locator(".hljs-keyword").first).to_be_visible()


async def test_hostile_formulas_and_code_do_nothing(chat: Page, gateway: FakeGateway) -> None:
    requests: list[str] = []
    chat.on("request", lambda request: requests.append(request.url))
    message = await ask(chat, gateway, "hello")
    await gateway.answer(message, "\n\n".join([*HOSTILE, "so $z^2$ ends it"]))
    await expect(answer(chat, message).locator("p").last.locator(".katex")).to_have_count(1)
    await expect(answer(chat, message).locator("code .hljs-tag").first).to_be_visible()
    assert await chat.evaluate(WHAT_LIVES) == []
    assert await chat.evaluate("window.hit") is None
    assert [url for url in requests if not url.startswith(gateway.url)] == []
    too_wide = "node => node.scrollWidth - node.clientWidth"
    assert await chat.locator("#scroller").evaluate(too_wide) <= 0


async def test_the_second_wall_takes_a_formula_apart_that_the_first_let_pass(
    unguarded_chat: Page,
) -> None:
    left = await unguarded_chat.evaluate(
        """async () => {
          const { purifyFormula, purifiedCode } = await import('/walls.js');
          const page = `<p><span class="katex" style="height:1em;">
            <a href="javascript:hit=1">x</a><img src="x" onerror="window.hit = 1">
            <span style="position:fixed;inset:0">y</span><b id="message">b</b>
            <span style="background:url(https://evil.example/)">z</span></span>`;
          const box = new DOMParser().parseFromString(page, 'text/html').querySelector('p');
          purifyFormula(box.firstElementChild);
          document.body.append(box);
          const code = document.createElement('div');
          code.append(purifiedCode(`<span class="hljs-tag">t</span><span class="prompt">u</span>
            <img src=x onerror=hit=1>`));
          return [
            box.querySelector('.katex').style.height,
            box.querySelectorAll('a, img, b, [id], [href]').length,
            box.querySelectorAll('[style]').length,
            code.innerHTML.trim(),
          ];
        }"""
    )
    assert left == ["1em", 0, 1, '<span class="hljs-tag">t</span><span>u</span>']
    assert await unguarded_chat.evaluate("window.hit") is None
