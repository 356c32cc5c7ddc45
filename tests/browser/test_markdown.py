"""A model's text can't do anything but be read."""

from html.entities import html5

import pytest
from playwright.async_api import Page, expect

from tests.browser.fake_gateway import FakeGateway
from tests.browser.steps import answer, ask, turn

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HOSTILE = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 1'>",
    "<svg/onload='window.hit = 1'>",
    "<svg><animate onbegin=window.hit=1 attributeName=x dur=1s>",
    "<iframe src='javascript:parent.hit = 1'></iframe>",
    '<iframe srcdoc="<script>parent.hit = 1</script>"></iframe>',
    "<style>body { display: none }</style>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv=refresh content='0; url=https://evil.example/'>",
    "<form action='https://evil.example/'><button>send</button></form>",
    "<input autofocus onfocus='window.hit = 1'>",
    "<details open ontoggle='window.hit = 1'>",
    "<a href='javascript:window.hit = 1'>x</a>",
    "[a](javascript:window.hit=1)",
    "[a](JaVaScRiPt:window.hit=1)",
    "[a](java&#115;cript:window.hit=1)",
    "[a](&#1;javascript:window.hit=1)",
    "[a](data:text/html,<script>window.hit=1</script>)",
    "[a](vbscript:window.hit=1)",
    "[a](//evil.example/x)",
    "[a](/healthz)",
    "[a](#/s/other)",
    "[a]: javascript:window.hit=1\n\n[a]",
    "<javascript:window.hit=1>",
    "![a](javascript:window.hit=1)",
    "![a](https://evil.example/pixel.png)",
    "![a](data:image/svg+xml,<svg onload=window.hit=1>)",
    '[a](https://x.example/"onmouseover="window.hit=1)',
    "[a](https://x.example/ 'x\" onmouseover=\"window.hit=1')",
    '```x" onmouseover="window.hit=1\ncode\n```',
    "```html\n<script>window.hit = 1</script>\n```",
    "`<img src=x onerror=window.hit=1>`",
    "| a |\n|---|\n| <img src=x onerror=window.hit=1> |",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.hit=1>",
    "<noscript><p title='</noscript><img src=x onerror=window.hit=1>'>",
    "&lt;img src=x onerror=window.hit=1&gt;",
    "\u202e<script>window.hit = 1</script>",
]

WHAT_LIVES = """() => [...document.querySelectorAll('.prose *')].flatMap((node) => {
  const found = [];
  if (/^(script|style|iframe|object|embed|form|input|img|base|meta|link|math|template|details)$/i
      .test(node.localName)) found.push(node.localName);
  if (node.localName === 'svg' && !node.closest('button')) found.push('svg');
  for (const { name, value } of node.attributes) {
    if (/^on|^style$|^srcdoc$/.test(name)) found.push(`${node.localName} ${name}`);
    if (name === 'href' && !/^(https?:\\/\\/|mailto:)/i.test(value)) found.push(value);
  }
  return found;
})"""


async def test_hostile_markdown_is_only_text(chat: Page, gateway: FakeGateway) -> None:
    requests: list[str] = []
    chat.on("request", lambda request: requests.append(request.url))
    for hostile in HOSTILE:
        message = await ask(chat, gateway, "hello")
        await gateway.start(message)
        # Character by character in the middle of it: no half-written tag is one either.
        for sequence, piece in enumerate((hostile[:9], hostile[9:17], hostile[17:]), start=1):
            await gateway.chunk(message, sequence, piece)
        await gateway.complete(message, 3)
        await expect(turn(chat, message).locator(".answer")).to_have_attribute("aria-busy", "false")
        for button in await turn(chat, message).locator(".prose a").all():
            await button.hover()
    assert await chat.evaluate(WHAT_LIVES) == []
    assert await chat.evaluate("window.hit") is None
    assert [url for url in requests if not url.startswith(gateway.url)] == []


NO_NAMES = ["&nosuch;", "&ampersand;", "&amp", "&amp;x", "&;", "&#x26;", "<b>&amp;</b>", ""]
"""The second is no name though it begins like one; the others are none, or more than one."""

RENDER = """async ([wall, texts]) => {
  const MarkdownIt = (await import('/vendor/markdown-it.js')).default;
  const { renderMarkdown, purifiedNodes } = await import('/markdown.js');
  const nodes = {
    both: renderMarkdown,
    purifier: (text) => purifiedNodes(new MarkdownIt({ html: true }).render(text)),
    none: (text) => document.createRange().createContextualFragment(
      new MarkdownIt({ html: true }).render(text)),
  };
  for (const text of texts) {
    const box = document.createElement('div');
    box.className = 'prose';
    box.append(nodes[wall](text));
    document.body.append(box);
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
}"""


@pytest.mark.parametrize("wall", ["both", "purifier"])
async def test_the_walls_hold_without_a_content_policy(unguarded_chat: Page, wall: str) -> None:
    await unguarded_chat.evaluate(RENDER, [wall, HOSTILE])
    assert await unguarded_chat.evaluate(WHAT_LIVES) == []
    assert await unguarded_chat.evaluate("window.hit") is None


async def test_without_a_wall_these_texts_would_act(unguarded_chat: Page) -> None:
    """Else the tests above would prove nothing."""
    await unguarded_chat.evaluate(RENDER, ["none", HOSTILE[1:3]])
    await unguarded_chat.wait_for_function("window.hit === 1")
    assert await unguarded_chat.evaluate(WHAT_LIVES) != []


async def test_the_parser_alone_makes_no_tag_of_the_text(unguarded_chat: Page) -> None:
    """The first wall without the second: what it writes as HTML holds nothing that acts."""
    await unguarded_chat.evaluate(
        """async (texts) => {
          const { markedUp } = await import('/markdown.js');
          const box = document.createElement('div');
          box.className = 'prose';
          box.innerHTML = texts.map(markedUp).join('');
          document.body.append(box);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }""",
        HOSTILE,
    )
    assert await unguarded_chat.evaluate(WHAT_LIVES) == []
    assert await unguarded_chat.evaluate("window.hit") is None


async def test_links_open_apart_and_know_nothing_of_the_page(
    chat: Page, gateway: FakeGateway
) -> None:
    message = await ask(chat, gateway, "link")
    await gateway.answer(message, "[here](https://example.org/) and https://example.com/a.b")
    links = answer(chat, message).locator("a")
    await expect(links).to_have_count(2)
    for link in await links.all():
        assert await link.get_attribute("target") == "_blank"
        assert "noopener" in (await link.get_attribute("rel") or "").split()


async def test_names_of_files_are_no_links(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "files")
    await gateway.answer(message, "See main.py and README.md, or write to a@b.example.")
    await expect(answer(chat, message)).to_contain_text("README.md")
    await expect(answer(chat, message).locator("a")).to_have_count(0)


async def test_the_browser_knows_every_name_of_a_letter(unguarded_chat: Page) -> None:
    names = {f"&{name}": letters for name, letters in html5.items() if name.endswith(";")}
    texts = [*names, *NO_NAMES]
    decoded = await unguarded_chat.evaluate(
        """async (texts) => {
          const { decodeHTMLStrict } = await import('/entities.js');
          return texts.map(decodeHTMLStrict);
        }""",
        texts,
    )
    assert dict(zip(texts, decoded, strict=True)) == names | {text: text for text in NO_NAMES}


async def test_names_of_letters_are_shown_as_letters(chat: Page, gateway: FakeGateway) -> None:
    message = await ask(chat, gateway, "letters")
    await gateway.answer(message, "&Auml; &#38; &lt;b&gt; &nosuch; &ampersand; `&Auml;`")
    await expect(answer(chat, message)).to_have_text("Ä & <b> &nosuch; &ampersand; &Auml;")


async def test_what_the_user_says_is_text(chat: Page, gateway: FakeGateway) -> None:
    said = "<b>bold?</b> **no**\n  two  spaces"
    message = await ask(chat, gateway, said)
    assert message.content == said
    bubble = turn(chat, message).locator(".bubble")
    assert await bubble.evaluate("node => node.textContent") == said
    await expect(bubble.locator("*")).to_have_count(0)


GROWING = """# Title

Some *text* with `code`, and a list:

- one
- two

  more of two

1. first
2. second

```python
def f():

    return "```"
```

| a | b |
|:--|--:|
| 1 | 2 |

> quoted
> on

Windows line\r\nand another\r\n\r\n[late][1]

    indented

***

Last paragraph, see [late][1].

[1]: https://example.org/
"""


async def test_a_growing_text_ends_as_the_whole_does(chat: Page) -> None:
    """Blocks that were settled while it grew look the same as when it is made in one piece."""
    differences = await chat.evaluate(
        """async (text) => {
          const { GrowingMarkdown, renderMarkdown } = await import('/markdown.js');
          const html = (node) => node.innerHTML.replaceAll(/\\s+/g, ' ');
          const whole = (part) => {
            const box = document.createElement('div');
            box.append(renderMarkdown(part));
            return html(box);
          };
          const box = document.createElement('div');
          const growing = new GrowingMarkdown(box);
          const wrong = [];
          // A link that is defined later is one only at the end.
          const letters = text.split('\\n\\n[1]:')[0];
          for (let end = 1; end <= letters.length; end += 1) {
            const part = letters.slice(0, end);
            growing.grow(part);
            if (!part.endsWith('\\n') || part.endsWith('| b |\\n')) continue; // half of something
            const expected = whole(part);
            if (html(box).trim() !== expected.trim()) wrong.push([html(box), expected]);
          }
          growing.finish(text);
          if (html(box) !== whole(text)) wrong.push('finish');
          return wrong.slice(0, 2);
        }""",
        GROWING,
    )
    assert differences == []
