/**
 * Code that is still being written and has become long: its lines are appended, and nothing else is looked at.
 *
 * It stands in pieces of a few thousand characters, each a box of its own: a browser lays a line of text out
 * again with all that is in its box.
 */

import { element } from "./element.js";

const PIECE_CHARS = 4_096;
const PIECES = new RegExp(`[^]{1,${PIECE_CHARS}}(?:[^\\n]*\\n|[^\\n]*$)`, "g"); // up to the end of a line

export class GrowingCode {
  #code;
  #tail; // the text that is appended to
  #closes; // a line that ends it
  #mayClose; // a line that may become one
  #shown; // offset in the text: so much of it is on the screen
  #line; // offset of the line that is being written

  /** Go on with the code that `text` has from `begin` on, which stands in `code`; null: it is of another form. */
  static begin(text, begin, code) {
    const [first, mark] = /^(`{3,}|~{3,})[^\n]*\n/.exec(text.slice(begin)) ?? [];
    const growing = first && code ? new GrowingCode(mark, begin + first.length, code) : null;
    return growing?.grow(text, true) === null ? growing : null;
  }

  constructor(mark, begin, code) {
    this.#closes = new RegExp(`^ {0,3}${mark[0]}{${mark.length},}[ \\t]*$`);
    this.#mayClose = new RegExp(`^ {0,3}${mark[0]}*[ \\t]*$`);
    this.#code = code;
    this.#line = begin;
    this.#shown = begin + code.textContent.length;
    this.#tail = code.lastChild ?? code.appendChild(document.createTextNode(""));
  }

  /** Show what is new. Gives the offset behind its end, or null: it goes on. */
  grow(text, growing) {
    for (;;) {
      const end = text.indexOf("\n", this.#line);
      const line = text.slice(this.#line, end < 0 ? text.length : end);
      if (this.#closes.test(line) && (end >= 0 || !growing)) {
        this.#show(text, this.#line);
        return end < 0 ? text.length : end + 1;
      }
      if (end < 0) {
        this.#show(text, growing && this.#mayClose.test(line) ? this.#line : text.length);
        return null;
      }
      this.#line = end + 1;
    }
  }

  #show(text, end) {
    const tooMuch = this.#shown - end; // half of the mark that ends it was taken for code
    if (tooMuch > 0) this.#tail.deleteData(Math.max(0, this.#tail.length - tooMuch), tooMuch);
    while (this.#shown < end) {
      const cut = this.#tail.length < PIECE_CHARS ? -1 : text.indexOf("\n", this.#shown - 1);
      const stop = cut >= 0 && cut < end ? cut + 1 : Math.min(end, this.#shown + PIECE_CHARS);
      this.#tail.appendData(text.slice(this.#shown, stop));
      this.#shown = stop;
      if (cut >= 0 && stop === cut + 1) this.#nextPiece();
    }
    this.#shown = end;
  }

  #nextPiece() {
    this.#tail = document.createTextNode("");
    this.#code.append(element("span", { class: "piece" }, this.#tail));
  }
}

/** Let whole code stand in pieces, all of it; gives them, in order. */
export function cutUp(code) {
  for (const node of [...code.childNodes]) {
    const texts = node.textContent.match(PIECES) ?? [];
    if (texts.length > 1) node.replaceWith(...texts.map((text) => element("span", { class: "piece" }, text)));
  }
  return [...code.childNodes].filter(({ textContent }) => textContent !== "");
}
