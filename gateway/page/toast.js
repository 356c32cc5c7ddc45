/** A short word at the edge of the page, gone after a few seconds. */

const SHOWN_MS = 6_000;
const SHOWN_WITH_ACTION_MS = 15_000; // time to read it, and to find the way to the button

export class Toast {
  #root;
  #text;
  #action;
  #timer = null;

  constructor(root, text, action) {
    this.#root = root;
    this.#text = text;
    this.#action = action;
  }

  say(words, action = null, perform = null) {
    this.#text.textContent = words;
    this.#action.hidden = action === null;
    this.#action.textContent = action ?? "";
    this.#action.onclick = () => {
      this.#root.hidden = true;
      perform?.();
    };
    this.#root.hidden = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#root.hidden = true;
    }, action === null ? SHOWN_MS : SHOWN_WITH_ACTION_MS);
  }
}
