/** The list of this device's chats: shown beside the conversation, on a phone over it. */

import { element } from "./element.js";
import { icon } from "./icons.js";
import { hashOf } from "./sessions.js";

const NARROW = "(max-width: 820px)";

export class Sidebar {
  #parts;
  #narrow = window.matchMedia(NARROW);

  /** `onRemove(entry)`: take a chat from the list. */
  constructor(parts, { onRemove }) {
    this.#parts = parts;
    parts.show.addEventListener("click", () => this.open());
    parts.hide.addEventListener("click", () => this.close({ focus: true }));
    parts.backdrop.addEventListener("click", () => this.close());
    parts.list.addEventListener("click", ({ target }) => {
      const removing = target.closest("button");
      if (removing) onRemove(removing.dataset.id);
      else if (target.closest("a") && this.#narrow.matches) this.close();
    });
    this.#narrow.addEventListener("change", () => this.#set(!this.#narrow.matches));
    this.#set(!this.#narrow.matches);
  }

  /** Whether it lies over the conversation now. */
  get covers() {
    return this.#narrow.matches && !this.#parts.sidebar.inert;
  }

  open() {
    this.#set(true);
    this.#parts.hide.focus();
  }

  close({ focus = false } = {}) {
    this.#set(false);
    if (focus) this.#parts.show.focus();
  }

  /** Close if it is in the way. */
  closeIfNarrow() {
    if (this.#narrow.matches) this.#set(false);
  }

  draw(entries, currentId) {
    const focused = this.#focusedKey();
    this.#parts.empty.hidden = entries.length > 0;
    this.#parts.list.replaceChildren(...entries.map(({ id, title }) => {
      const current = id === currentId;
      const link = element("a", { href: hashOf(id), dir: "auto", "aria-current": current ? "page" : null, title }, title || "Untitled");
      const remove = element("button", { type: "button", class: "icon-button small", "data-id": id, "aria-label": `Remove “${title}” from this list`, title: "Remove from this list" }, icon("x"));
      return element("li", { class: current ? "current" : null }, link, remove);
    }));
    if (focused !== null) this.#focus(focused);
  }

  /** Which entry of the list has the keyboard: {id, index, tag}, or null. */
  #focusedKey() {
    const entry = document.activeElement?.closest?.("li");
    if (!entry || entry.parentElement !== this.#parts.list) return null;
    const { localName } = document.activeElement;
    return { id: entry.querySelector("button").dataset.id, index: [...this.#parts.list.children].indexOf(entry), localName };
  }

  /** The list was drawn anew under the keyboard: to the same entry, or where it was; else to a new chat. */
  #focus({ id, index, localName }) {
    const entries = [...this.#parts.list.children];
    const entry = entries.find((one) => one.querySelector("button").dataset.id === id) ?? entries[Math.min(index, entries.length - 1)];
    (entry?.querySelector(localName) ?? this.#parts.newChat).focus();
  }

  #set(open) {
    const { sidebar, backdrop } = this.#parts;
    sidebar.inert = !open; // closed, the keyboard passes it by
    document.documentElement.classList.toggle("sidebar-open", open);
    backdrop.hidden = !(open && this.#narrow.matches);
  }
}
