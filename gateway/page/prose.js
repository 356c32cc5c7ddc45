/**
 * The element that shows an answer's text.
 *
 * What reads Markdown is half of the page's bytes. It is fetched when there is an answer, not before the first
 * paint; should it come late, or not at all, the text is shown as it was written.
 */

import { element } from "./element.js";

const STEP_CHARS = 4_096; // more at once would hold the page up: the rest comes in the next frames

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
  #shownChars = 0;
  #goesOn = false; // the rest is shown in the next frame

  /** Whether nothing stands here. */
  get isEmpty() {
    return this.#text === "";
  }

  /** Show a text that grows, or `whole`. */
  show(text, whole) {
    this.#text = text;
    this.#whole = whole;
    if (this.#markdown === null && GrowingMarkdown === null) this.#showPlain();
    else if (!this.#goesOn) this.#showMarkdown();
  }

  #showMarkdown() {
    if (this.#markdown === null) {
      this.root.replaceChildren();
      this.root.classList.remove("plain");
      this.#markdown = new GrowingMarkdown(this.root);
    }
    const step = this.#shownChars + STEP_CHARS;
    if ((this.#shownChars > 0 || !this.#whole) && step < this.#text.length) {
      this.#markdown.grow(this.#text.slice(0, step));
      this.#shownChars = step;
      this.#goOn();
    } else {
      if (this.#whole) this.#markdown.finish(this.#text);
      else this.#markdown.grow(this.#text);
      this.#shownChars = this.#text.length;
    }
    this.#markWritten();
  }

  /** What had to wait, as behind a slow network, is shown frame by frame. */
  #goOn() {
    this.#goesOn = true;
    window.requestAnimationFrame(() => {
      this.#goesOn = false;
      this.#showMarkdown();
      grown(this.root);
    });
  }

  /** Mark where the text is being written. On that element only: a class further up would style all of it anew. */
  #markWritten() {
    const written = this.#whole && !this.#goesOn ? null : lastLine(this.root.lastElementChild);
    if (this.#written !== written) this.#written?.removeAttribute("data-written");
    this.#written = written;
    written?.setAttribute("data-written", "");
  }

  async #showPlain() {
    this.root.textContent = this.#text;
    this.root.classList.add("plain");
    await fetchMarkdown();
    if (GrowingMarkdown === null || this.#markdown !== null) return;
    this.#shownChars = this.#text.length; // at once: who reads it keeps their place
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
