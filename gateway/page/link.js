/**
 * A socket that comes back: it opens, listens for silence, and connects again when that makes sense.
 *
 * It knows nothing of sessions; it carries frames (objects) and says in which state it is. A socket that
 * was given up is never heard again, whatever it still says. The browser's own close may come minutes
 * after the network has gone, or never, so a far end that is silent is asked, and one that does not
 * answer is left. While news is expected (an answer runs: something comes every 1.5 s) that takes 7 s,
 * otherwise two heartbeats. A gateway that is only busy answers, so it keeps its sockets.
 */

import { afterClose } from "./reconnect.js";

export const HEARTBEAT_MS = 15_000;
/** So long without a frame and the far end is asked; without an answer for so long it is left. */
const PATIENCE = { quietMs: HEARTBEAT_MS, answerMs: HEARTBEAT_MS, openMs: 10_000 };
const EAGER = { quietMs: 5_000, answerMs: 2_000, openMs: 3_000 };
const EAGER_OPENS = 3; // then it is rather the network that is slow
const WAKE_ANSWER_MS = 5_000;
const STEADY_MS = 5_000; // a connection that lived so long since `steady` resets the backoff
const OPEN = 1;

export class Link {
  /** idle, connecting, open, waiting (until `retryAtMs`), sleeping, stopped; `code` of the last close. */
  state = { name: "idle", code: null, retryAtMs: null };

  #world;
  #socket = null;
  #failures = 0;
  #steadySinceMs = null;
  #heardMs = 0;
  #asked = false;
  #timers;

  /**
   * `world`: {WebSocket, nowMs, setTimer, clearTimer, random}; `address` is asked at every attempt,
   * `expects` whenever it matters: whether news must come soon.
   */
  constructor(world, { address, expects, onFrame, onState }) {
    this.#world = { ...world, address, expects, onFrame, onState };
    this.#timers = new Timers(world);
  }

  /** Connect now, whatever the state. */
  connect() {
    this.#drop();
    this.#settle();
    const socket = new this.#world.WebSocket(this.#world.address());
    this.#socket = socket;
    this.#asked = false;
    this.#heardMs = this.#world.nowMs();
    const mine = (action) => (event) => socket === this.#socket && action(event);
    socket.onopen = mine(() => {
      this.#timers.stop("open");
      this.#enter("open");
    });
    socket.onmessage = mine(({ data }) => this.#heard(data));
    socket.onclose = mine(({ code, reason }) => this.fail(code, reason));
    socket.onerror = () => {}; // a close follows, with what can be known
    const { openMs } = this.#world.expects() && this.#failures < EAGER_OPENS ? EAGER : PATIENCE;
    this.#timers.start("open", openMs, () => this.fail(1006));
    this.#timers.start("watch", EAGER.quietMs, () => this.#watch());
    this.#enter("connecting");
  }

  /** Close, and stay closed until `connect`. */
  close() {
    this.#drop();
    this.#enter("idle");
  }

  /** Give the socket up as if it had closed with this code, and do what the table says. */
  fail(code, reason = "") {
    const { nowMs, random } = this.#world;
    this.#drop();
    this.#settle();
    const { next, delayMs } = afterClose(code, reason, this.#failures, random());
    if (next !== "backoff") {
      this.#enter(next === "on_demand" ? "sleeping" : "stopped", code);
      return;
    }
    this.#failures += 1;
    this.#timers.start("retry", delayMs, () => this.connect());
    this.#enter("waiting", code, nowMs() + delayMs);
  }

  /** The far end is useful now: from here on counts how long the connection lasted. */
  steady() {
    this.#steadySinceMs ??= this.#world.nowMs();
  }

  /** Something changed (page visible, network back): connect at once, or see whether the socket lives. */
  wake() {
    if (this.state.name === "waiting" || this.state.name === "sleeping") this.connect();
    if (this.state.name !== "open") return;
    const { quietMs, answerMs } = PATIENCE;
    if (this.#world.nowMs() - this.#heardMs >= quietMs + answerMs) this.connect();
    else this.#ask("wake", WAKE_ANSWER_MS);
  }

  /** Leave this gateway for another after so long, unless it closes first. */
  moveAfter(ms) {
    this.#timers.start("move", ms, () => this.connect());
  }

  /** Send if the socket is open; false if it is not. */
  send(frame) {
    if (this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #heard(data) {
    this.#heardMs = this.#world.nowMs();
    this.#asked = false;
    const frame = parsed(data);
    if (frame !== null) this.#world.onFrame(frame);
  }

  #watch() {
    // Before `steady` the far end may still look for where it stands; it says so only afterwards.
    const eager = this.#steadySinceMs !== null && this.#world.expects();
    const { quietMs, answerMs } = eager ? EAGER : PATIENCE;
    const silentMs = this.#world.nowMs() - this.#heardMs;
    if (silentMs >= quietMs) {
      if (!this.#asked) this.#ask("watch", answerMs);
      this.#timers.start("watch", EAGER.quietMs, () => this.#watch());
      return;
    }
    this.#timers.start("watch", Math.min(quietMs - silentMs, EAGER.quietMs), () => this.#watch());
  }

  /** Ask for a sign of life; without one for so long, the socket is given up. */
  #ask(nonce, answerMs) {
    this.#asked = true;
    this.send({ type: "ping", nonce });
    this.#timers.start("answer", answerMs, () => this.#asked && this.fail(1006));
  }

  /** A connection is over: one that was good for a while makes up for the failures before it. */
  #settle() {
    const livedUntilMs = this.#asked ? this.#heardMs : this.#world.nowMs(); // it did not answer since
    if (this.#steadySinceMs !== null && livedUntilMs - this.#steadySinceMs >= STEADY_MS) this.#failures = 0;
    this.#steadySinceMs = null;
  }

  #drop() {
    this.#timers.stopAll();
    const socket = this.#socket;
    this.#socket = null; // first: whatever it still says is not heard
    if (socket && socket.readyState <= OPEN) socket.close();
  }

  #enter(name, code = null, retryAtMs = null) {
    this.state = { name, code, retryAtMs };
    this.#world.onState(this.state);
  }
}

/** Named timers, one of each name at most. */
export class Timers {
  #world;
  #running = new Map();

  constructor({ setTimer, clearTimer }) {
    this.#world = { setTimer, clearTimer };
  }

  start(name, ms, action) {
    this.stop(name);
    const run = () => {
      this.#running.delete(name);
      action();
    };
    this.#running.set(name, this.#world.setTimer(run, ms));
  }

  stop(name) {
    if (this.#running.has(name)) this.#world.clearTimer(this.#running.get(name));
    this.#running.delete(name);
  }

  stopAll() {
    for (const name of [...this.#running.keys()]) this.stop(name);
  }
}

function parsed(data) {
  try {
    const frame = JSON.parse(data);
    return frame !== null && typeof frame === "object" && !Array.isArray(frame) ? frame : null;
  } catch {
    return null; // not a frame: nothing that this version knows
  }
}
