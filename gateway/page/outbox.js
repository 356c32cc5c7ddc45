/**
 * Messages of this tab that the log has not mentioned yet, kept over a reload.
 *
 * Without it a reload between Send and the first event would make the message vanish from the screen, and
 * its author send it twice. They are submitted again with the same id, so they stay one message.
 */

import { unsettled } from "./session.js";

const MAX_AGE_MS = 3_600_000; // older ones are nobody's wish any more

export class Outbox {
  #storage;
  #saved = null;

  /** `storage` is the browser's sessionStorage (a tab's own), or null where it is switched off. */
  constructor(storage) {
    this.#storage = storage;
  }

  /** Keep what waits now; cheap if nothing changed since the last call. */
  save({ sessionId, view }) {
    if (view.own === this.#saved) return;
    this.#saved = view.own;
    const waiting = unsettled(view).map(({ message_id, content, on_busy, created_at }) => ({ message_id, content, on_busy, created_at }));
    try {
      if (waiting.length > 0) this.#storage?.setItem(key(sessionId), JSON.stringify(waiting));
      else this.#storage?.removeItem(key(sessionId));
    } catch {
      // Full or switched off: a reload may lose it.
    }
  }

  /** Submit again what the last page of this tab had not brought home. */
  restore(session, nowMs) {
    this.#saved = null;
    for (const { message_id, content, on_busy, created_at } of this.#waiting(session.sessionId)) {
      if (nowMs - Date.parse(created_at) < MAX_AGE_MS) session.send(content, { onBusy: on_busy, messageId: message_id });
    }
  }

  #waiting(sessionId) {
    try {
      return JSON.parse(this.#storage?.getItem(key(sessionId)) ?? "[]");
    } catch {
      return [];
    }
  }
}

const key = (sessionId) => `talklog.outbox.${sessionId}`;
