/**
 * What is still being written, closed so far that it can be shown as what it is going to be. Pure.
 *
 * `**bo` is bold from its first letter, a link shows its words while its address comes, a table is one from its
 * first line. Only the last piece of a text that grows is mended, and only on the screen: the text is the log's.
 */

const STRONG_PAIR = 2;
const TILDE = 0x7e;

/** Let a markdown-it parser mend the last line of texts whose `env.growing` is true. */
export function halfWritten(parser) {
  parser.core.ruler.before("inline", "half-written", ({ tokens, env }) => {
    if (!env.growing) return;
    const last = tokens.findLast(({ nesting, hidden }) => nesting === 0 && !hidden);
    if (last?.type === "inline") last.content = mended(parser, last.content, env);
  });
  parser.inline.ruler2.before("emphasis", "half-written", (state) => {
    if (state.env.open) state.env.open.push(...unclosed(state));
  });
}

/** Close what the words of one paragraph leave open. */
function mended(parser, words, env = {}) {
  const linked = withoutHalfLink(words);
  const coded = withClosedCode(linked);
  const bare = coded === linked ? withoutLastMarks(coded) : coded;
  const open = [];
  parser.inline.parse(bare, parser, { ...env, growing: false, open }, []);
  return open.length === 0 ? bare : bare.trimEnd() + open.reverse().join("");
}

/** `[words](https://exa` -> its words; `[^` and `![` alone -> nothing yet. */
function withoutHalfLink(words) {
  return words
    .replace(/!?\[([^[\]\n]*)\]\([^()\s]*(?:[ \t]+["'][^"'\n]*["']?)?$/, "$1")
    .replace(/!?\[\^?[^[\]\s]{0,40}$/, (half) => (/^(?:!\[|\[\^)/.test(half) ? "" : half));
}

/** A code span without its end gets one; backticks with nothing behind them are not shown yet. */
function withClosedCode(words) {
  let open = null;
  for (const { 0: run, index } of words.matchAll(/\\[\s\S]|`+/g)) {
    if (run.startsWith("\\") && open === null) continue;
    const ticks = run.startsWith("\\") ? run.slice(1) : run; // in code a backslash escapes nothing
    if (!ticks.startsWith("`")) continue;
    if (open === null) open = { ticks, end: index + run.length };
    else if (open.ticks === ticks) open = null;
  }
  if (open === null) return words;
  const code = words.slice(open.end).replace(/`+$/, "");
  return code.trim() === "" ? words.slice(0, open.end - open.ticks.length) : words.slice(0, open.end) + code + open.ticks;
}

/** Marks at the very end say nothing yet: they may begin something, or be half of an end. */
function withoutLastMarks(words) {
  return words.replace(/(?<![\\*_~])(?:\*{1,3}|_{1,3}|~{1,2})$/, "");
}

/** The marks that were opened and found no end, in order. An asterisk within a word is rather a multiplication. */
function unclosed({ delimiters }) {
  return delimiters
    .filter(({ open, close, end, length, marker }) => open && end === -1 && (marker === TILDE || !close || length >= STRONG_PAIR))
    .map(({ marker }) => (marker === TILDE ? "~~" : String.fromCharCode(marker)));
}

/** Parse a text that grows: its last block as what it is going to be. */
export function parseGrowing(parser, text, env) {
  const tokens = parser.parse(text, env);
  const begun = withoutHalfUnderline(tokens, text) ?? withHalfTable(tokens, text);
  return begun === null ? tokens : parser.parse(begun, env);
}

/** One dash below a paragraph makes a heading of it, for the moment in which a list begins: not yet. */
function withoutHalfUnderline(tokens, text) {
  const last = tokens.at(-1);
  if (last?.type !== "heading_close" || !/^[-=]/.test(last.markup) || text.endsWith("\n")) return null;
  return text.slice(0, text.lastIndexOf("\n") + 1);
}

/** A line of cells is the head of a table before the line below it says so. */
function withHalfTable(tokens, text) {
  const [words, end] = tokens.slice(-2);
  if (end?.type !== "paragraph_close" || end.level !== 0) return null;
  const lines = words.content.split("\n");
  const ruled = lines.length > 1 && /^[|:\-\s]*$/.test(lines.at(-1));
  const head = lines.at(ruled ? -2 : -1);
  if (!/^\|./.test(head)) return null;
  const cells = head.replace(/^\||\|\s*$/g, "").split(/(?<!\\)\|/).length;
  const above = ruled ? text.slice(0, text.trimEnd().lastIndexOf("\n")) : text.trimEnd();
  return `${above}\n${"|---".repeat(cells)}|`;
}
