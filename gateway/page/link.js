/**
 * A socket that comes back: it opens, listens for silence, and connects again when that makes sense.
 *
 * It knows nothing of sessions; it carries frames (objects) and says in which state it is. A socket that
 * was given up is never heard again, whatever it still says. The browser's own close may come minutes
 * after the network has gone, or never, so silence of two heartbeats is a close.
 */

import { afterClose } from "./reconnect.js";

export const HEARTBEAT_MS = 15_000;
const STALL_MS = 2 * HEARTBEAT_MS;
const OPEN_LIMIT_MS = 10_000;
const PROBE_LIMIT_MS = 5_000;
const STEADY_MS = 5_000; // a connection that lasted so long since `steady` resets the backoff
const OPEN = 1;

export class Link {
  /** idle, connecting, open, waiting (until `retryAtMs`), sleeping, stopped; `code` of the last close. */
  state = { name: "idle", code: null, retryAtMs: null };

  #world;
  #socket = null;
  #failures = 0;
  #steadySinceMs = null;
  #heardMs = 0;
  #pinged = false;
  #timers;

  /** `world`: {WebSocket, nowMs, setTimer, clearTimer, random}; `address` is asked at every attempt. */
  constructor(world, { address, onFrame, onState }) {
    this.#world = { ...world, address, onFrame, onState };
    this.#timers = new Timers(world);
  }

  /** Connect now, whatever the state. */
  connect() {
    this.#drop();
    const socket = new this.#world.WebSocket(this.#world.address());
    this.#socket = socket;
    this.#pinged = false;
    this.#heardMs = this.#world.nowMs();
    const mine = (action) => (event) => socket === this.#socket && action(event);
    socket.onopen = mine(() => {
      this.#timers.stop("open");
      this.#enter("open");
    });
    socket.onmessage = mine(({ data }) => this.#heard(data));
    socket.onclose = mine(({ code, reason }) => this.fail(code, reason));
    socket.onerror = () => {}; // a close follows, with what can be known
    this.#timers.start("open", OPEN_LIMIT_MS, () => this.fail(1006));
    this.#timers.start("watch", HEARTBEAT_MS, () => this.#watch());
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
    if (this.#steadySinceMs !== null && nowMs() - this.#steadySinceMs >= STEADY_MS) this.#failures = 0;
    this.#steadySinceMs = null;
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
    const sinceMs = this.#world.nowMs();
    if (sinceMs - this.#heardMs >= STALL_MS) {
      this.connect();
      return;
    }
    this.#pinged = true;
    this.send({ type: "ping", nonce: "wake" });
    this.#timers.start("probe", PROBE_LIMIT_MS, () => {
      if (this.#pinged) this.fail(1006);
    });
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
    this.#pinged = false;
    const frame = parsed(data);
    if (frame !== null) this.#world.onFrame(frame);
  }

  #watch() {
    const silentMs = this.#world.nowMs() - this.#heardMs;
    if (silentMs >= STALL_MS) {
      this.fail(1006);
      return;
    }
    // A gateway that still prepares a snapshot sends no heartbeat, but it answers a ping.
    if (silentMs >= HEARTBEAT_MS && !this.#pinged) {
      this.#pinged = true;
      this.send({ type: "ping", nonce: "watch" });
    }
    const untilMs = silentMs >= HEARTBEAT_MS ? STALL_MS : HEARTBEAT_MS;
    this.#timers.start("watch", untilMs - silentMs, () => this.#watch());
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
