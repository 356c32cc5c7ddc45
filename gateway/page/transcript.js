/**
 * The conversation on the screen: a view (reducer.js) -> one element a turn, drawn at most once a frame.
 *
 * Messages are frozen, so `===` tells what changed; the rest is not touched.
 */

import { copyText, showCopied } from "./copy.js";
import { isTerminal } from "./fold.js";
import { ownTurnOf, TurnElement, turnOf } from "./turn.js";

export class Transcript {
  #root;
  #turns = new Map(); // id -> {turn: TurnElement, key: what it was drawn from}
  #lastWhole = new Map();
  #actions;

  /** `actions`: {again(id), dismiss(id), askAgain(id), takeBack(id)}. */
  constructor(root, actions) {
    this.#root = root;
    this.#actions = actions;
    root.addEventListener("click", (event) => this.#clicked(event));
  }

  /** How many turns are shown. */
  get size() {
    return this.#turns.size;
  }

  /** Forget everything: another session comes. */
  clear() {
    this.#turns.clear();
    this.#lastWhole = new Map();
    this.#root.replaceChildren();
    this.#root.setAttribute("aria-live", "off");
  }

  /** From here on a screen reader is told what comes; what was there before is for its reader to find. */
  announce() {
    if (this.#root.getAttribute("aria-live") === "polite") return;
    window.requestAnimationFrame(() => this.#root.setAttribute("aria-live", "polite"));
  }

  /** Draw what changed. `stateOf(id)`: {stopping: a stop was asked for, silent: nothing has come of it for long}. */
  draw(view, stateOf) {
    const wanted = this.#wanted(view, stateOf);
    const ids = new Set(wanted.map(({ id }) => id));
    for (const [id, { turn }] of this.#turns) {
      if (ids.has(id)) continue;
      turn.root.remove();
      this.#turns.delete(id);
    }
    let previous = null;
    for (const { id, key, data } of wanted) {
      const root = this.#drawOne(id, key, data);
      const place = previous ? previous.nextSibling : this.#root.firstChild;
      if (root !== place) this.#root.insertBefore(root, place);
      previous = root;
    }
  }

  #drawOne(id, key, data) {
    let shown = this.#turns.get(id);
    if (!shown) {
      shown = { turn: new TurnElement(id), key: [] };
      this.#turns.set(id, shown);
    }
    if (key.some((part, index) => part !== shown.key[index])) {
      shown.turn.draw(data());
      shown.key = key;
    }
    return shown.turn.root;
  }

  #wanted(view, stateOf) {
    const wanted = [];
    let place = 0;
    for (const message of this.#messages(view).values()) {
      const [id, ahead] = [message.message_id, place];
      const open = !isTerminal(message);
      const state = open ? stateOf(id) : {};
      wanted.push({ id, key: [message, open ? ahead : 0, state.stopping, state.silent, state.wait], data: () => turnOf(message, ahead, state) });
      if (open) place += 1;
    }
    for (const own of view.own.values()) {
      const state = stateOf(own.message_id);
      wanted.push({ id: own.message_id, key: [own, 0, state.stopping, state.silent, state.wait], data: () => ownTurnOf(own, state) });
    }
    return wanted;
  }

  /** While a reconnect waits for its snapshot, the old view stays on the screen. */
  #messages(view) {
    if (!view.joined && !view.historyMissing) return this.#lastWhole;
    this.#lastWhole = view.messages;
    return view.messages;
  }

  async #clicked({ target }) {
    const button = target.closest("button");
    const id = button?.closest(".turn")?.dataset.id;
    if (!id) return;
    if (button.matches(".copy-code")) {
      const code = button.closest(".code").querySelector("pre");
      showCopied(button, await copyText(code.textContent));
    }
    const { action } = button.dataset;
    if (action === "copy") showCopied(button, await copyText(this.#turns.get(id).turn.text));
    if (action === "again") this.#actions.again(id);
    if (action === "dismiss") this.#actions.dismiss(id);
    if (action === "ask-again") this.#actions.askAgain(id);
    if (action === "take-back") this.#actions.takeBack(id);
    if (action === "to-note") goTo(button, "div.note");
    if (action === "to-reference") goTo(button, ".note-reference");
  }
}

/** Between a footnote and the place that refers to it; the address of the page names the session, so not by it. */
function goTo(button, kind) {
  const label = button.closest("[data-note]").dataset.note;
  const places = [...button.closest(".prose").querySelectorAll(kind)];
  const target = places.find(({ dataset }) => dataset.note === label)?.querySelector(".note-button");
  target?.focus({ preventScroll: true });
  target?.scrollIntoView({ block: "center" });
}
