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

/** Say that something became higher without a frame: the page may have to follow it. */
export function grown(node) {
  node.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
}
