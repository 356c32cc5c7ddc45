/** How the connection is, for a person: a quiet badge always, a banner when there is something to know. */

import { badge, trouble } from "./words.js";

const SOON_MS = 1_000; // the seconds until the next try are counted down

export class ConnectionView {
  #parts;
  #leads = null; // where the banner's button leads
  #separated = false; // the connection was lost and is not back: only then a "connecting" is worth words

  /** `parts`: {badge, badgeText, banner, bannerText, action}; `current()` gives the session, `newChat()` leaves it. */
  constructor(parts, current, newChat) {
    this.#parts = parts;
    parts.action.addEventListener("click", () => (this.#leads === "new chat" ? newChat() : current().connect()));
    setInterval(() => this.draw(current()), SOON_MS);
  }

  /** Another session: nothing was lost yet. */
  reset() {
    this.#separated = false;
  }

  draw({ connection, view }) {
    if (connection.state === "live") this.#separated = false;
    if (connection.state === "waiting") this.#separated = true;
    const { badge: mark, badgeText, banner, bannerText, action } = this.#parts;
    mark.dataset.state = connection.state;
    mark.dataset.online = String(navigator.onLine);
    write(badgeText, badge(connection, navigator.onLine));
    const told = trouble(connection, Date.now(), navigator.onLine) ?? this.#quieter(connection, view);
    this.#leads = told?.leads ?? null;
    banner.hidden = told === null;
    write(bannerText, told?.text ?? "");
    action.hidden = !told?.action;
    write(action, told?.action ?? "");
  }

  #quieter({ state }, view) {
    if (view.historyMissing && !view.joined) return { text: "Earlier messages can’t be loaded right now. They will appear by themselves." };
    return this.#separated && state !== "live" ? { text: "Reconnecting…" } : null;
  }
}

/** Change a text only if it changed: a live region would read it again. */
export function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
