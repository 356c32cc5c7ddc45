import assert from "node:assert/strict";
import { test } from "node:test";
import { directionOf } from "../../gateway/page/direction.js";
import { htmlOf, parse } from "../../gateway/page/parser.js";

const whole = (text) => htmlOf(parse(text)).replaceAll(/\s*\n\s*/g, " ").trim();
const growing = (text) => htmlOf(parse(text, { growing: true })).replaceAll(/\s*\n\s*/g, " ").trim();

const EMPHASIS = {
  "**「重要」**な": "<strong>「重要」</strong>な",
  "これは**“重要”**です": "これは<strong>“重要”</strong>です",
  "**テスト。**次": "<strong>テスト。</strong>次",
  "한국어**(강조)**는": "한국어<strong>(강조)</strong>는",
  "这是**`code`**的": "这是<strong><code>code</code></strong>的",
  "*（注）*と": "<em>（注）</em>と",
  "~~「古い」~~新しい": "<s>「古い」</s>新しい",
  "snake_case_name": "snake_case_name",
  "5 * 3 * 2": "5 * 3 * 2",
  "a**b**c": "a<strong>b</strong>c",
};

for (const [text, html] of Object.entries(EMPHASIS)) {
  test(`emphasis: ${text}`, () => assert.equal(whole(text), `<p>${html}</p>`));
}

const HALF = {
  "**bo": "<p><strong>bo</strong></p>",
  "**bold*": "<p><strong>bold</strong></p>",
  "say **bold and *it": "<p>say <strong>bold and <em>it</em></strong></p>",
  "これは**重": "<p>これは<strong>重</strong></p>",
  "a ~~b": "<p>a <s>b</s></p>",
  "use `co": "<p>use <code>co</code></p>",
  "use ``a`": "<p>use <code>a</code></p>",
  "`": "<p></p>",
  "**a `b": "<p><strong>a <code>b</code></strong></p>",
  "[words](https://exa": "<p>words</p>",
  "![picture](https://exa": "<p>picture</p>",
  "- item **b": "<ul> <li>item <strong>b</strong></li> </ul>",
  "# head **b": "<h1>head <strong>b</strong></h1>",
  "text\n-": "<p>text</p>",
  "| a | b": "<table> <thead> <tr> <th>a</th> <th>b</th> </tr> </thead> </table>",
  "| a | b |\n|-": "<table> <thead> <tr> <th>a</th> <th>b</th> </tr> </thead> </table>",
  "```js\nlet **a": '<pre><code class="language-js">let **a</code></pre>',
  "$$\n\\frac{1": '<div class="math-open">\\frac{1</div>',
  // What is no half of anything stays what it says.
  "5 * 3": "<p>5 * 3</p>",
  "5*3": "<p>5*3</p>",
  "a_b": "<p>a_b</p>",
  "[a, b": "<p>[a, b</p>",
  "it costs $5 and": "<p>it costs $5 and</p>",
};

for (const [text, html] of Object.entries(HALF)) {
  test(`half-written: ${JSON.stringify(text)}`, () => assert.equal(growing(text), html));
}

test("no prefix of a text shows the marks that the whole does not", () => {
  const text = "Some **bold *and* more** words, `code` and ~~no~~ [link](https://example.org/a) end";
  for (let end = 1; end <= text.length; end += 1) {
    assert.doesNotMatch(growing(text.slice(0, end)).replaceAll(/<[^>]*>/g, ""), /[*`~(]/, text.slice(0, end));
  }
});

const FORMULAS = {
  "so $x^2$ is": '<p>so <span class="math">x^2</span> is</p>',
  "so \\(a_b*c*\\) is": '<p>so <span class="math">a_b*c*</span> is</p>',
  "$$\nx\n\ny\n$$\nafter": '<div class="math-block">x y</div> <p>after</p>',
  "\\[\nx\n\\]": '<div class="math-block">x</div>',
  "in $$x$$ line": '<p>in <span class="math-block">x</span> line</p>',
  "$5 and $10": "<p>$5 and $10</p>",
  "US$ and A$": "<p>US$ and A$</p>",
  "`$x$`": "<p><code>$x$</code></p>",
  "\\$x\\$": "<p>$x$</p>",
  "$$\nnever closed": "<p>$$<br> never closed</p>",
  "$<img src=x>$": '<p><span class="math">&lt;img src=x&gt;</span></p>',
};

for (const [text, html] of Object.entries(FORMULAS)) {
  test(`formula: ${JSON.stringify(text)}`, () => assert.equal(whole(text), html));
}

test("task lists and footnotes", () => {
  assert.equal(whole("- [ ] a\n- [x] b\n- [y] c"), '<ul> <li class="task">a</li> <li class="task-done">b</li> <li>[y] c</li> </ul>');
  const env = {};
  const html = htmlOf(parse("word[^1]\n\n[^1]: first\n\n    second", env)).replaceAll(/\s*\n\s*/g, " ").trim();
  assert.equal(html, '<p>word<sup class="note-reference">1</sup></p> <div class="note"><sup class="note-mark">1</sup><p>first</p> <p>second</p> </div>');
  assert.deepEqual([...env.notes], ["1"]);
});

test("the first letter says which way a text runs", () => {
  for (const text of ["مرحبا Welt", "123 שלום", "\u200f?", "ދިވެހި"]) assert.equal(directionOf(text), "rtl");
  for (const text of ["Welt مرحبا", "123", "", "日本語"]) assert.equal(directionOf(text), "ltr");
});
