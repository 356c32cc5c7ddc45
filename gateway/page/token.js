/**
 * What a page does with a token: takes it out of its address, and reads (never checks) what it says.
 *
 * Whether it is good is the gateway's to say. What it says of itself is enough to ask for the next one
 * in time, and to name a new chat so that the token allows it.
 */

const KEY = "talklog.token";
const RENEW_BEFORE_MS = 30_000;
const RENEW_LEAST_MS = 5_000; // one that is over already must not be asked for in a circle
const RENEW_MOST_MS = 2 ** 31 - 1; // a longer timer would be over at once

/** The token of an address (`#token=…`, alone or behind a session with `&`), or null; and the rest. */
export function tokenIn(hash) {
  const parts = hash.replace(/^#/, "").split("&");
  const found = parts.find((part) => part.startsWith("token="));
  const rest = parts.filter((part) => part !== found).join("&");
  return { token: found?.slice("token=".length) || null, hash: rest === "" ? "" : `#${rest}` };
}

/** In how many ms the next token should be asked for, or null: this one does not say when it ends. */
export function renewInMs(token, nowMs) {
  const { exp } = claimsOf(token);
  if (!Number.isFinite(exp)) return null;
  return Math.min(Math.max(exp * 1000 - RENEW_BEFORE_MS - nowMs, RENEW_LEAST_MS), RENEW_MOST_MS);
}

/** Whether the token allows this verb, as far as can be read in it; without one the gateway alone knows. */
export function may(token, verb) {
  const { verbs } = claimsOf(token);
  return !Array.isArray(verbs) || verbs.includes(verb);
}

/** An id for a new session that the token allows; `makeId` gives what can't be guessed of it. */
export function sessionIdFor(token, makeId) {
  const { sessions, sub } = claimsOf(token);
  const patterns = Array.isArray(sessions) ? sessions.filter((each) => typeof each === "string") : [];
  const pattern = patterns.find((each) => each.includes("*")) ?? patterns[0] ?? "*";
  const [first, ...others] = pattern.split("*").map((part) => part.replaceAll("{sub}", () => `${sub ?? ""}`));
  return others.length === 0 ? first : `${first}${makeId()}${others.join("")}`;
}

/** The token of a session: given once, or asked for by a function whenever one is needed, but not in a circle. */
export class TokenSource {
  token = null;

  #ask = null;
  #question = 0; // the number of the last one; what answers an older one comes too late
  #askedAgain = false; // since the last time that one was good

  constructor(given) {
    if (typeof given === "function") this.#ask = given;
    else this.token = given;
  }

  /** Whether there is none yet, and one can be asked for. */
  get missing() {
    return this.#ask !== null && this.token === null;
  }

  /** Ask for the next one and give it to `take`; null if there is none. Nothing, if it was left meanwhile. */
  async next(take) {
    const question = (this.#question += 1);
    let token = null;
    try {
      token = await this.#ask();
    } catch {
      // Whoever gives tokens shows himself why there is none.
    }
    if (question === this.#question) take(typeof token === "string" && token !== "" ? token : null);
  }

  /** Nobody waits any more for what was asked for. */
  leave() {
    this.#question += 1;
  }

  /** The token was refused; whether another one should be asked for. One that is never good is not, twice. */
  refused() {
    if (this.#ask === null) return false;
    const again = !this.#askedAgain;
    this.token = null;
    this.#askedAgain = true;
    return again;
  }

  /** The token is good; in how many ms the next one should be asked for, or null. */
  good(nowMs) {
    this.#askedAgain = false;
    return this.#ask === null ? null : renewInMs(this.token, nowMs);
  }
}

/** Keeps the token for this tab, so that it is there again when the page is loaded anew. */
export class TokenKeeper {
  #storage;
  #token = null;

  /** `storage` is the browser's sessionStorage, or null where it is switched off. */
  constructor(storage) {
    this.#storage = storage;
  }

  get token() {
    try {
      return this.#token ?? this.#storage?.getItem(KEY) ?? null;
    } catch {
      return this.#token;
    }
  }

  set token(token) {
    this.#token = token;
    try {
      this.#storage?.setItem(KEY, token);
    } catch {
      // Full or switched off: it is gone when the page is.
    }
  }
}

function claimsOf(token) {
  try {
    const base64 = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {}; // no token, or none that a page can read
  }
}
