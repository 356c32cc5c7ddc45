/**
 * A block that has become long, in pieces that can be finished one by one: a list's items, a table's rows, lines.
 *
 * The text behind a finished piece is parsed by itself, with a `prefix` where it needs one to be read as what it
 * is (the head of a table); what comes of it belongs into the block that stands there already.
 */

import { element } from "./element.js";
import { isClosed } from "./parser.js";

const LISTS = new Set(["bullet_list_open", "ordered_list_open"]);
const TABLE_HEAD_LINES = 2;

/** What of the one block in `source` is finished: {kind, source, prefix}, or null. */
export function splitLong(tokens, source) {
  const { type: kind } = tokens[0];
  if (LISTS.has(kind)) return splitAt(source, kind, lastLine(tokens, "list_item_open", 1), 0);
  if (kind === "table_open") return splitAt(source, kind, lastLine(tokens, "tr_open", 2), TABLE_HEAD_LINES);
  return kind === "paragraph_open" ? splitLines(source, kind) : null;
}

/** Whether a block of this kind can go on as another one: a list, and a table with its head. */
export function hasItems(kind) {
  return kind !== "paragraph_open";
}

/** Take out of `nodes` what belongs into the block that stands there already. */
export function innerOf(kind, nodes) {
  const block = nodes.firstElementChild;
  block?.remove();
  return block ? inner(kind, block) : document.createDocumentFragment();
}

/** The block as it stands there when its first piece is finished. */
export function pieceOf(kind, nodes) {
  const block = nodes.firstElementChild;
  if (kind === "paragraph_open") block.append(inner(kind, block));
  return nodes;
}

/** Where in the block further pieces go. */
export function parentOf(kind, block) {
  return kind === "table_open" ? block.querySelector("tbody") : block;
}

function inner(kind, block) {
  const taken = document.createDocumentFragment();
  const from = parentOf(kind, block);
  if (from === null) return taken;
  if (kind !== "paragraph_open") taken.append(...from.childNodes);
  else taken.append(element("span", { class: "piece" }, ...from.childNodes));
  return taken;
}

function lastLine(tokens, type, level) {
  return tokens.findLast((token) => token.type === type && token.level === level)?.map[0] ?? 0;
}

function splitAt(source, kind, line, headLines) {
  if (line <= headLines) return null;
  return { kind, source: firstLines(source, line), prefix: firstLines(source, headLines) };
}

/** At the last line's beginning, if nothing is open there and a letter follows, so that it is no other block. */
function splitLines(source, kind) {
  const begin = source.search(/\n(?=\p{L}[^\n]*\n?$)/u) + 1;
  const finished = source.slice(0, begin);
  return begin > 0 && isClosed(finished.trimEnd()) ? { kind, source: finished, prefix: "" } : null;
}

/** The first lines of a text, with their ends. */
export function firstLines(text, count) {
  let end = 0;
  for (let line = 0; line < count; line += 1) {
    const next = text.indexOf("\n", end);
    if (next < 0) return text;
    end = next + 1;
  }
  return text.slice(0, end);
}
