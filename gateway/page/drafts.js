/** What was typed and not sent, for each chat: a reload, or a look at another chat, loses no words. */

export class Drafts {
  #storage;

  /** `storage` is the browser's sessionStorage (a tab's own), or null where it is switched off. */
  constructor(storage) {
    this.#storage = storage;
  }

  of(sessionId) {
    return this.#storage?.getItem(key(sessionId)) ?? "";
  }

  keep(sessionId, text) {
    try {
      if (text === "") this.#storage?.removeItem(key(sessionId));
      else this.#storage?.setItem(key(sessionId), text);
    } catch {
      // Full: a reload may lose it.
    }
  }
}

const key = (sessionId) => `talklog.draft.${sessionId}`;
