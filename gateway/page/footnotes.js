/**
 * Footnotes: `word[^1]` and, anywhere, `[^1]: what is said of it`. Pure.
 *
 * A note stands where it was written, which with a model is the end: nothing that is on the screen has to move
 * when one comes. Which references have a note is known to the page (markdown.js), not while a line is parsed: it
 * may be written later, or never, and then `[^a-z]` was no footnote. The block rule follows that of
 * https://github.com/markdown-it/markdown-it-footnote (MIT).
 */

const REFERENCE = /\[\^([\p{L}\p{N}_-]{1,40})\](?!\()/uy;
const DEFINITION = /^\[\^([\p{L}\p{N}_-]{1,40})\]:[ \t]*/u;
const INDENT = 4; // so far in, further lines belong to the note

/** Let a markdown-it parser read them. */
export function footnotes(parser) {
  parser.block.ruler.before("reference", "footnote", definition, { alt: ["paragraph", "reference"] });
  parser.inline.ruler.before("link", "footnote", reference);
  const { escapeHtml } = parser.utils;
  parser.renderer.rules.footnote_reference = (tokens, index) => `<sup class="note-reference">${escapeHtml(tokens[index].content)}</sup>`;
  parser.renderer.rules.footnote_open = (tokens, index) => `<div class="note"><sup class="note-mark">${escapeHtml(tokens[index].info)}</sup>`;
  parser.renderer.rules.footnote_close = () => "</div>\n";
}

function reference(state, silent) {
  REFERENCE.lastIndex = state.pos;
  const found = REFERENCE.exec(state.src);
  if (!found || REFERENCE.lastIndex > state.posMax) return false;
  if (!silent) state.push("footnote_reference", "sup", 0).content = found[1];
  state.pos += found[0].length;
  return true;
}

function definition(state, startLine, endLine, silent) {
  const begin = state.bMarks[startLine] + state.tShift[startLine];
  const found = DEFINITION.exec(state.src.slice(begin, state.eMarks[startLine]));
  if (!found || state.sCount[startLine] - state.blkIndent >= INDENT) return false;
  if (silent) return true;
  const open = state.push("footnote_open", "div", 1);
  open.info = found[1];
  (state.env.notes ??= new Set()).add(found[1]);
  open.map = [startLine, startLine + 1];
  const { bMarks, tShift, sCount, parentType } = state;
  const before = [bMarks[startLine], tShift[startLine], sCount[startLine]];
  // The rest of the line is its first paragraph, as far in as the lines that may follow.
  bMarks[startLine] = begin + found[0].length;
  tShift[startLine] = 0;
  state.blkIndent += INDENT;
  sCount[startLine] = state.blkIndent;
  state.parentType = "footnote";
  state.md.block.tokenize(state, startLine, endLine);
  state.parentType = parentType;
  state.blkIndent -= INDENT;
  [bMarks[startLine], tShift[startLine], sCount[startLine]] = before;
  open.map[1] = state.line;
  state.push("footnote_close", "div", -1);
  return true;
}
