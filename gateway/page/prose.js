/**
 * The element that shows an answer's text.
 *
 * What reads Markdown is half of the page's bytes. It is fetched when there is an answer, not before the first
 * paint; should it come late, or not at all, the text is shown as it was written.
 */

import { element } from "./element.js";

let GrowingMarkdown = null;
let fetching = null;

/** Fetch what reads Markdown, if it is not here yet; after a failure the next call tries again. */
export async function fetchMarkdown() {
  fetching ??= import("./markdown.js").then((fetched) => {
    ({ GrowingMarkdown } = fetched);
  });
  try {
    await fetching;
  } catch {
    fetching = null;
  }
}

export class Prose {
  root = element("div", { class: "prose" });

  #markdown = null;
  #text = "";
  #whole = false;
  #written = null;

  /** Whether nothing stands here. */
  get isEmpty() {
    return this.#text === "";
  }

  /** Show a text that grows, or `whole`. */
  show(text, whole) {
    this.#text = text;
    this.#whole = whole;
    if (this.#markdown === null && GrowingMarkdown === null) this.#showPlain();
    else this.#showMarkdown();
  }

  #showMarkdown() {
    if (this.#markdown === null) {
      this.root.replaceChildren();
      this.root.classList.remove("plain");
      this.#markdown = new GrowingMarkdown(this.root);
    }
    if (this.#whole) this.#markdown.finish(this.#text);
    else this.#markdown.grow(this.#text);
    this.#markWritten();
  }

  /** Mark where the text is being written. On that element only: a class further up would style all of it anew. */
  #markWritten() {
    const written = this.#whole ? null : lastLine(this.root.lastElementChild);
    if (this.#written !== written) this.#written?.removeAttribute("data-written");
    this.#written = written;
    written?.setAttribute("data-written", "");
  }

  async #showPlain() {
    this.root.textContent = this.#text;
    this.root.classList.add("plain");
    await fetchMarkdown();
    if (GrowingMarkdown === null || this.#markdown !== null) return;
    this.#showMarkdown();
    grown(this.root);
  }
}

/** The element of the last line: of code its box, of a list its last item. */
function lastLine(block) {
  if (block === null || block.matches("p, h1, h2, h3, h4, h5, h6, pre, li")) return block;
  return block.matches(".code, ul, ol, .piece, .section") ? lastLine(block.lastElementChild) : null;
}

/** Say that something became higher without a frame: the page may have to follow it. */
export function grown(node) {
  node.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
}
