/**
 * Where a formula begins and ends in Markdown: `$…$`, `\(…\)` in a line, `$$…$$`, `\[…\]` by themselves. Pure.
 *
 * It is written as its source, in an element that says what it is; who shows it as a formula is typesetting.js.
 * A dollar is a dollar far more often than it is TeX: one opens only before a letter that is no space, and closes
 * only behind one and not before a digit, so that "$5 and $10" stays what it says. Code is never a formula.
 */

const BLOCKS = [["$$", "$$"], ["\\[", "\\]"]];
const INLINE = [["$$", "$$", "math-block"], ["\\(", "\\)", "math"], ["\\[", "\\]", "math-block"], ["$", "$", "math"]];
const FORMULA_MAX_CHARS = 10_000;

/** Let a markdown-it parser read them. */
export function formulas(parser) {
  parser.block.ruler.before("fence", "formula", block, { alt: ["paragraph", "reference", "blockquote", "list"] });
  parser.inline.ruler.before("escape", "formula", inline);
  const { escapeHtml } = parser.utils;
  parser.renderer.rules.formula = (tokens, index) => `<span class="${tokens[index].meta}">${escapeHtml(tokens[index].content)}</span>`;
  parser.renderer.rules.formula_block = (tokens, index) => `<div class="${tokens[index].meta}">${escapeHtml(tokens[index].content)}</div>\n`;
}

function block(state, startLine, endLine, silent) {
  const first = lineOf(state, startLine);
  const [open, close] = BLOCKS.find(([mark]) => first.startsWith(mark)) ?? [];
  if (!open || state.sCount[startLine] - state.blkIndent >= 4) return false;
  const lines = [];
  for (let line = startLine; line < endLine; line += 1) {
    if (line > startLine && state.sCount[line] < state.blkIndent && !state.isEmpty(line)) break; // its list has ended
    const words = line === startLine ? first.slice(open.length) : lineOf(state, line);
    const end = words.indexOf(close);
    if (end >= 0 && words.slice(end + close.length).trim() !== "") return false; // words behind it: a paragraph
    lines.push(end >= 0 ? words.slice(0, end) : words);
    if (end >= 0) return silent || push(state, "math-block", lines, startLine, line + 1);
  }
  if (!state.env.growing) return false;
  return silent || push(state, "math-open", lines, startLine, startLine + lines.length);
}

function push(state, kind, lines, startLine, nextLine) {
  const token = state.push("formula_block", "div", 0);
  token.block = true;
  token.content = lines.join("\n").trim();
  token.map = [startLine, nextLine];
  token.meta = kind;
  state.line = nextLine;
  return true;
}

function lineOf(state, line) {
  return state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line]);
}

function inline(state, silent) {
  const { src, pos, posMax } = state;
  const [open, close, kind] = INLINE.find(([mark]) => src.startsWith(mark, pos)) ?? [];
  if (!open) return false;
  const begin = pos + open.length;
  const end = closing(src, begin, Math.min(posMax, begin + FORMULA_MAX_CHARS), close);
  const source = src.slice(begin, end);
  if (end < 0 || source.trim() === "" || (open === "$" && !isDollarFormula(src, begin, end))) return false;
  if (!silent) {
    const token = state.push("formula", "span", 0);
    token.content = source.trim();
    token.meta = kind;
  }
  state.pos = end + close.length;
  return true;
}

function closing(src, begin, limit, close) {
  for (let place = begin; place < limit; place += 1) {
    if (src.startsWith(close, place) && place + close.length <= limit) return place;
    if (src[place] === "\\") place += 1; // \$ closes nothing
  }
  return -1;
}

function isDollarFormula(src, begin, end) {
  return !/\s/.test(src[begin]) && !/\s/.test(src[end - 1]) && !/[\d$]/.test(src[end + 1] ?? " ") && !/[`]/.test(src.slice(begin, end));
}
