/**
 * The chats of this device: which there were, newest first, named by their first message.
 *
 * Only a list of addresses: the conversations themselves are in the log, and removing one here removes
 * nothing there. Pure functions over the list; `SessionList` keeps it in the browser's storage.
 */

import { newId } from "./session.js";

const KEY = "talklog.sessions";
const MAX = 200;
const TITLE_MAX_CHARS = 60;
const VALID_ID = /^[A-Za-z0-9._:-]{1,255}$/;

/** The session that an address names (`#/s/ID`), or null. */
export function sessionOf(hash) {
  const named = /^#\/s\/(.+)$/.exec(hash);
  return named ? safeDecode(named[1]) : null;
}

/** The address of a session. */
export function hashOf(id) {
  return `#/s/${encodeURIComponent(id)}`;
}

/** An id for a new session. It is all that is needed to read the chat, so it can't be guessed. */
export const newSessionId = newId;

/** A title from the first thing said. */
export function titleOf(content) {
  const line = content.trim().split("\n", 1)[0].replaceAll(/\s+/g, " ");
  const letters = [...line];
  return letters.length > TITLE_MAX_CHARS ? `${letters.slice(0, TITLE_MAX_CHARS - 1).join("")}…` : line;
}

/** Put a session first, with its title if it had none. */
export function touched(list, id, title, nowMs) {
  const known = list.find((entry) => entry.id === id);
  const entry = { id, title: known?.title || title, usedMs: nowMs };
  return [entry, ...list.filter((other) => other.id !== id)].slice(0, MAX);
}

/** The list without a session. */
export function without(list, id) {
  return list.filter((entry) => entry.id !== id);
}

export class SessionList {
  #storage;

  /** `storage` is the browser's localStorage, or null where it is switched off. */
  constructor(storage) {
    this.#storage = storage;
  }

  /** Read anew each time: another tab may have written. */
  get entries() {
    try {
      const stored = JSON.parse(this.#storage?.getItem(KEY) ?? "[]");
      return stored.filter(({ id, title }) => VALID_ID.test(id) && typeof title === "string");
    } catch {
      return []; // not ours, or broken: an empty list is a fine start
    }
  }

  set entries(list) {
    try {
      this.#storage?.setItem(KEY, JSON.stringify(list));
    } catch {
      // Full or switched off: the chat works without the list.
    }
  }
}

function safeDecode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
