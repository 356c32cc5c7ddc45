/**
 * Renders a text that grows: each step costs what is new, and what is finished is never touched again.
 *
 * Blocks that are finished are settled: their nodes stand for good, also when the text ends. The last block is
 * made anew and its nodes are made like it (morph.js). One that becomes long is settled piece by piece, each in
 * its place: a list by items, a table by rows, a paragraph by lines (pieces.js), code by what comes (growing_code.js).
 *
 * A link may be defined at the very end. Then those blocks, and no others, are rendered once more.
 */

import { adorn } from "./adorning.js";
import { element } from "./element.js";
import { GrowingCode } from "./growing_code.js";
import { morph } from "./morph.js";
import { nodesOf, showReferences } from "./nodes.js";
import { parse } from "./parser.js";
import { firstLines, hasItems, innerOf, parentOf, pieceOf, splitLong } from "./pieces.js";

const LONG_CHARS = 4_096;
/** So many blocks stand in one box, and items in one list or table: a browser looks at all of it when one changes. */
const BOX_BLOCKS = 64;
const BLOCK_ITEMS = 128;

export class GrowingMarkdown {
  #container;
  #env; // what links and notes of finished blocks refer to
  #settledText; // what of the text is finished
  #box; // where blocks are put now: the container, and once that has many, a section of it
  #lastSettled; // the last node of what is finished, in the box
  #finished; // what it consists of, in order: {nodes, part, source, links: how many links were defined then}
  #inside; // a long block that is finished in part: {kind, parent (null: the next part stands by itself), last, prefix}
  #code; // a long block of code that is still being written
  #triedChars; // so long was what could not be settled within
  #notesShown;

  constructor(container) {
    this.#container = container;
    this.#forget();
  }

  /** Show what is written so far; cheap if it only became longer. */
  grow(written) {
    const text = lines(written);
    if (!text.startsWith(this.#settledText)) this.#forget();
    if (this.#code && !this.#growCode(text, true)) return;
    while (this.#settleWithin(text)) if (this.#code) return;
    this.#show(text.slice(this.#settledText.length), true);
  }

  /** Show the finished text. */
  finish(written) {
    const text = lines(written);
    if (!text.startsWith(this.#settledText)) this.#forget();
    if (this.#code) this.#growCode(text, false);
    this.#show(text.slice(this.#settledText.length), false);
    this.#renderLateLinks();
    this.#showReferences(this.#env.notes, true);
    if (!this.#box.hasChildNodes()) this.#box.remove();
    else this.#lastSettled = this.#box.lastChild;
    this.#closeBox();
  }

  /** Show what is not finished yet, and settle all of it but the last block; of a finished text, that too. */
  #show(rest, growing) {
    const source = (this.#inside?.prefix ?? "") + rest;
    const env = growing ? this.#scratch() : this.#env;
    const tokens = parse(source, env);
    if (this.#inside && tokens.length > 0 && tokens[0].type !== this.#inside.kind) {
      // The parser sees another block now than before: all of it once more; nodes that are the same stay.
      const text = this.#settledText + rest;
      this.#forget();
      this.#show(text, growing);
      return;
    }
    if (!growing) return void this.#settle(source, nodesOf(tokens));
    const { index, line } = lastBlock(tokens);
    if (line > 0) this.#settle(firstLines(source, line));
    const nodes = nodesOf(tokens.slice(index));
    const shown = this.#inside?.parent ? morph(this.#inside.parent, this.#inside.last, innerOf(this.#inside.kind, nodes)) : [];
    shown.push(...morph(this.#box, this.#lastSettled, nodes));
    this.#showReferences(env.notes, false);
    adorn(shown, { code: false });
  }

  /** These whole blocks are finished. */
  #settle(source, nodes = nodesOf(parse(source, this.#env))) {
    const prefix = this.#inside?.prefix ?? "";
    const kind = this.#inside?.parent ? this.#inside.kind : null;
    if (kind) this.#finishPiece(source, innerOf(kind, nodes), false);
    this.#inside = null;
    const shown = morph(this.#box, this.#lastSettled, nodes);
    this.#lastSettled = shown.at(-1) ?? this.#lastSettled;
    this.#finish(shown, (made) => {
      if (kind) innerOf(kind, made); // that stands elsewhere
      return made;
    }, source);
    this.#settledText += source.slice(prefix.length);
    if (this.#box.childElementCount >= BOX_BLOCKS) this.#openBox();
  }

  #openBox() {
    this.#closeBox();
    this.#box = this.#container.appendChild(element("div", { class: "section" }));
    this.#lastSettled = null;
  }

  /** What is finished is not looked at while it is out of sight; but first it is laid out, so that its height is known. */
  #closeBox() {
    const box = this.#box;
    if (box === this.#container) return;
    window.requestAnimationFrame(() => window.requestAnimationFrame(() => box.classList.add("settled")));
  }

  /** If the last block is long, settle what of it is finished; whether there was anything. */
  #settleWithin(text) {
    const rest = text.slice(this.#settledText.length);
    if (rest.length < LONG_CHARS || rest.length < this.#triedChars + LONG_CHARS / 4) return false;
    this.#triedChars = rest.length;
    const { prefix = "", kind = null } = this.#inside ?? {};
    const source = prefix + rest;
    const tokens = parse(source, this.#scratch());
    const { line } = lastBlock(tokens);
    if (kind !== null && tokens[0]?.type !== kind) return false;
    if (line > 0) this.#settle(firstLines(source, line));
    else if (tokens[0]?.type === "fence" && tokens.length === 1) return this.#beginCode(text);
    else if (!this.#settlePiece(tokens, source)) return false;
    this.#triedChars = 0;
    return true;
  }

  #settlePiece(tokens, source) {
    const prefix = this.#inside?.prefix ?? "";
    const split = tokens.length > 0 ? splitLong(tokens, source) : null;
    if (split === null || split.source.length <= prefix.length) return false;
    const nodes = nodesOf(parse(split.source, this.#env));
    if (this.#inside?.parent) {
      const full = hasItems(split.kind) && this.#inside.parent.childElementCount >= BLOCK_ITEMS;
      this.#finishPiece(split.source, innerOf(split.kind, nodes), !full);
      // The next items make a list of their own that goes on, the next rows a table with the same head.
      if (full) this.#inside = { kind: split.kind, parent: null, last: null, prefix: split.prefix };
    } else {
      const [block] = morph(this.#box, this.#lastSettled, pieceOf(split.kind, nodes));
      const parent = parentOf(split.kind, block);
      this.#finish([...parent.childNodes], (made) => innerOf(split.kind, made), split.source);
      this.#inside = { kind: split.kind, parent, last: parent.lastChild, prefix: split.prefix };
      this.#lastSettled = block;
    }
    this.#settledText += split.source.slice(prefix.length);
    return true;
  }

  #finishPiece(source, nodes, keepRest) {
    const { kind, parent, last } = this.#inside;
    const shown = morph(parent, last, nodes, { keepRest });
    this.#inside.last = shown.at(-1) ?? last;
    this.#finish(shown, (made) => innerOf(kind, made), source);
  }

  /** These nodes are finished: `part` takes them out of what `source` is rendered to. */
  #finish(nodes, part, source) {
    if (nodes.length > 0) this.#finished.push({ nodes, part, source, links: this.#links() });
    adorn(nodes, { code: true });
  }

  /** From here on only what is new of the code is looked at; the block stands there as it is. */
  #beginCode(text) {
    this.#show(text.slice(this.#settledText.length), true);
    const block = this.#box.lastElementChild;
    this.#code = GrowingCode.begin(text, this.#settledText.length, block?.querySelector("pre > code"));
    if (this.#code) this.#lastSettled = block;
    return this.#code !== null;
  }

  /** Show more of the code; whether it has ended, so that other blocks follow. */
  #growCode(text, growing) {
    const end = this.#code.grow(text, growing);
    if (end === null && growing) return false;
    this.#code = null;
    this.#triedChars = 0;
    this.#settledText = text.slice(0, end ?? text.length);
    adorn([this.#lastSettled], { code: true });
    return true;
  }

  #showReferences(notes, whole) {
    if (!whole && notes.size === this.#notesShown) return;
    this.#notesShown = notes.size;
    showReferences(this.#container, notes, whole);
  }

  #renderLateLinks() {
    const defined = Object.keys(this.#env.references ?? {});
    for (const { nodes, part, source, links } of this.#finished) {
      if (!namesOneOf(defined.slice(links), source)) continue;
      const [first, last] = [nodes[0], nodes.at(-1)];
      const made = part(nodesOf(parse(source, this.#env)));
      adorn(morph(first.parentNode, first.previousSibling, made, { until: last.nextSibling }), { code: true });
    }
  }

  #links() {
    return Object.keys(this.#env.references ?? {}).length;
  }

  /** What is defined so far, for a text that is not finished: half an address must not stay. */
  #scratch() {
    const { references = {}, notes } = this.#env;
    return { growing: true, references: Object.create(references), notes: new Set(notes) };
  }

  #forget() {
    this.#env = { notes: new Set() };
    this.#settledText = "";
    this.#box = this.#container;
    this.#lastSettled = null;
    this.#finished = [];
    this.#inside = null;
    this.#code = null;
    this.#triedChars = 0;
    this.#notesShown = 0;
  }
}

function lines(written) {
  return written.includes("\r") ? written.replaceAll(/\r\n?/g, "\n") : written; // as the parser counts them
}

/** Whether the text refers to one of these labels, which are written as the parser compares them. */
function namesOneOf(labels, text) {
  if (labels.length === 0 || !text.includes("]")) return false;
  const compared = text.replaceAll(/\s+/g, " ").toLowerCase().toUpperCase();
  return labels.some((label) => compared.includes(`${label}]`));
}

/** Where the last block begins, in tokens and in lines: everything before it will not change any more. */
function lastBlock(tokens) {
  for (let index = tokens.length - 1; index >= 0; index -= 1) {
    const { level, nesting, map } = tokens[index];
    if (level === 0 && nesting >= 0 && map) return { index, line: map[0] };
  }
  return { index: 0, line: 0 };
}
