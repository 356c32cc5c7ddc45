/**
 * One session of talklog, followed and written to over a WebSocket that may break at any time.
 *
 * Usable by any page and by node: nothing here knows a document, and socket, clock, timers and chance can
 * be given. What is true of the conversation is `session.view` (reducer.js, a fold over the frames); this
 * class only carries frames in and out and keeps a connection:
 *
 *     const session = new Session({ url: "ws://localhost:8000", sessionId: "test_session" });
 *     session.onChange = () => console.log(session.connection.state, session.view.messages);
 *     session.connect();
 *     session.send("Hello");
 *
 * A message is sent again, with the same id, until the log has said something about it; the id makes that
 * one message. Connection states: idle, connecting, joining (open, but where it stands is not known yet),
 * live, waiting (until `retryAtMs`), sleeping (the gateway closed an idle socket), stopped (`code`: why).
 */

import { isTerminal } from "./fold.js";
import { Hold } from "./hold.js";
import { newId } from "./ids.js";
import { Link, Timers } from "./link.js";
import { EMPTY_VIEW, forgotten, hasOpenMessages, reduce, resendAfter, resumeCursor, submitted, unsettled } from "./reducer.js";
import { shardOf } from "./shards.js";
import { TokenSource } from "./token.js";

export { applyEvent, isTerminal } from "./fold.js";
export { newId } from "./ids.js";
export { afterClose } from "./reconnect.js";
export { EMPTY_VIEW, openMessages, reduce, resendAfter, resumeCursor, submitted, unsettled } from "./reducer.js";

const UNKNOWN_RETRY_MS = 1_000;
const OWN_MAX = 50;
const FRAME_TOO_BIG = 1009;
const UNAUTHENTICATED = 4001;

/** Why `send` refused: so many messages wait already for their first sign of life. */
export class TooManyWaiting extends Error {}

export class Session {
  view = EMPTY_VIEW;
  connection = { state: "idle", code: null, retryAtMs: null };
  /** Called after every change of `view` or `connection`; keep it cheap, a frame may come every 15 ms. */
  onChange = () => {};
  /** Called with an error of the gateway that no own message shows: `{code, message, message_id}`. */
  onNotice = () => {};

  #options;
  #link;
  #timers;
  #tokens;
  #greeted = false; // `connected` has come on this socket: before it, `view.joined` is that of the last one
  #hold = new Hold();
  #submitted = new Set(); // ids that went out on this socket
  #heardMs = new Map(); // id of a message that has not ended -> when something of it came on this socket
  #liveSinceMs = 0;
  #cancels = new Set(); // ids to stop, asked again after every reconnect until they have ended

  /**
   * `url`: ws:// or wss:// of a gateway, with a path if it has one behind a proxy. `history`: how many finished
   * messages to ask for. `token`: a JWT, if the gateway wants one, or a function that gives one (or a promise of it)
   * whenever one is needed: before the first connection, before the old one ends, and when it was refused.
   * `shards`: how many the gateways have, if that is known; they tell it when they are connected. With it the
   * address names the session's shard, so that a balancer can bring a shard's sockets together.
   * The rest is for tests.
   */
  constructor({
    url,
    sessionId,
    history = 0,
    token = null,
    shards = 0,
    WebSocket = globalThis.WebSocket,
    nowMs = () => Date.now(),
    setTimer = (action, ms) => setTimeout(action, ms),
    clearTimer = (handle) => clearTimeout(handle),
    random = Math.random,
    makeId = newId,
  }) {
    const world = { WebSocket, nowMs, setTimer, clearTimer, random };
    this.#options = { url, sessionId, history, shards, nowMs, makeId, random };
    this.#tokens = new TokenSource(token);
    this.#timers = new Timers(world);
    this.#link = new Link(world, {
      address: () => this.#address(),
      expects: () => unsettled(this.view).length > 0 || hasOpenMessages(this.view),
      onFrame: (frame) => this.#receive(frame),
      onState: (state) => this.#linkChanged(state),
    });
  }

  get sessionId() {
    return this.#options.sessionId;
  }

  /** Connect now, whatever the state; also the way back from "stopped". */
  connect() {
    if (this.#tokens.missing) this.#askForToken();
    else this.#link.connect();
  }

  /** Leave (until `connect`). The answer goes on: a closed socket is not a stop. */
  close() {
    this.#tokens.leave();
    this.#link.close();
  }

  /** The page is visible again, or the network is back. */
  wake() {
    this.#link.wake();
  }

  /** Begin again with a snapshot that holds up to `history` finished messages. */
  reload({ history }) {
    this.#options.history = history;
    this.view = { ...this.view, joined: false };
    this.connect();
  }

  /** Ask for up to `limit` finished messages before the first one of the view; false if that can't be asked now. */
  earlier({ limit = 20 } = {}) {
    const [before] = this.view.messages.keys();
    return this.connection.state === "live" && this.#link.send({ type: "history", limit, ...(before ? { before } : {}) });
  }

  /** Put in a token: the first, or one before the old expires. */
  setToken(token) {
    this.#tokens.token = token;
    if (this.#link.send({ type: "token", token })) this.#renewInTime();
    else this.connect();
  }

  #askForToken() {
    if (this.connection.state !== "live") {
      this.connection = { state: "connecting", code: null, retryAtMs: null };
      this.onChange();
    }
    this.#tokens.next((token) => {
      if (token !== null) this.setToken(token);
      else if (this.connection.state !== "live") this.#link.fail(UNAUTHENTICATED);
    });
  }

  #renewInTime() {
    const waitMs = this.#tokens.good(this.#options.nowMs());
    if (waitMs !== null) this.#timers.start("renew", waitMs, () => this.#askForToken());
  }

  /**
   * Submit a message and give its id. It is kept, and sent again, until the log has it.
   *
   * @throws {TooManyWaiting} when 50 messages wait already: the gateway has not answered for long.
   */
  send(content, { onBusy = "enqueue", model = null, messageId = this.#options.makeId() } = {}) {
    if (unsettled(this.view).length >= OWN_MAX) throw new TooManyWaiting(`${OWN_MAX} messages wait`);
    const created_at = new Date(this.#options.nowMs()).toISOString();
    this.view = submitted(this.view, { message_id: messageId, content, on_busy: onBusy, model, created_at });
    if (this.connection.state === "live") this.#submit(messageId);
    if (this.connection.state === "sleeping") this.connect();
    this.onChange();
    return messageId;
  }

  /** Send a message that failed once more, with the same id: it stays one message. */
  retry(messageId) {
    const own = this.view.own.get(messageId);
    if (own) this.send(own.content, { onBusy: own.on_busy, model: own.model, messageId });
  }

  /** Forget an own message that failed. */
  dismiss(messageId) {
    this.view = forgotten(this.view, messageId);
    this.onChange();
  }

  /** Stop an answer, keep its text. Asked again after a reconnect, until it has ended. */
  cancel(messageId) {
    this.#cancels.add(messageId);
    if (this.connection.state === "live") this.#link.send({ type: "cancel", message_id: messageId });
    this.onChange();
  }

  /** Whether a stop of this message was asked for and has neither happened nor been refused. */
  isStopping(messageId) {
    return this.#cancels.has(messageId);
  }

  /** For how long nothing has come of a message that has not ended; 0 while this client is not live itself. */
  silentMs(messageId) {
    if (this.connection.state !== "live") return 0;
    return this.#options.nowMs() - Math.max(this.#liveSinceMs, this.#heardMs.get(messageId) ?? this.#liveSinceMs);
  }

  #address() {
    const { url, sessionId, history, shards } = this.#options;
    const query = new URLSearchParams();
    const cursor = resumeCursor(this.view);
    if (cursor !== null) query.set("cursor", cursor);
    if (history > 0) query.set("history", String(history));
    if (shards > 0) query.set("shard", String(shardOf(sessionId, shards)));
    const tail = `${query}` === "" ? "" : `?${query}`;
    return `${url.replace(/\/$/, "")}/ws/chat/${encodeURIComponent(sessionId)}/${tail}`;
  }

  #linkChanged({ name, code, retryAtMs }) {
    this.#greeted = false;
    this.#timers.stopAll(); // what they would send is sent at the next join
    this.connection = { state: name === "open" ? "joining" : name, code, retryAtMs };
    // The first frame, not in the address: that ends in the logs of every proxy on the way.
    if (name === "open" && this.#tokens.token) this.#link.send({ type: "token", token: this.#tokens.token });
    const tooBig = code === FRAME_TOO_BIG && this.#failTooBig();
    this.#submitted.clear();
    this.#heardMs.clear();
    this.onChange();
    if (code === UNAUTHENTICATED && this.#tokens.refused()) this.#askForToken();
    if (tooBig) this.connect(); // what it was closed for is not sent again
  }

  #receive(frame) {
    const before = this.view;
    this.view = reduce(before, frame);
    this.#hold.heard(frame, this.#options.nowMs(), this.#options.random());
    if (this.view.broken) {
      this.#link.fail(1006); // with no cursor to resume from, so that a snapshot follows
      return;
    }
    this.#hear(frame.message_id);
    if (frame.type === "status" && frame.state === "connected") {
      this.#greeted = true;
      this.#options.shards = frame.shards ?? 0;
    }
    if (frame.type === "status" && frame.state === "reconnect") this.#link.moveAfter(Math.max(0, Number(frame.after_ms) || 0));
    this.#tellNotice(frame, before);
    this.#dropEndedCancels();
    this.#carryOn(frame);
    this.onChange();
  }

  /** Go live when it is known where we stand, and send again what the log has not. */
  #carryOn(frame) {
    const known = this.#greeted && (this.view.joined || this.view.historyMissing);
    const justLive = known && this.connection.state !== "live";
    const again = resendAfter(frame, this.view);
    if (frame.type === "error" && again.length > 0) {
      // The broker is slow: at once would only make it slower.
      this.#timers.start(`resend ${again[0]}`, UNKNOWN_RETRY_MS, () => this.#submit(again[0]));
      return;
    }
    if (justLive) {
      this.connection = { state: "live", code: null, retryAtMs: null };
      this.#liveSinceMs = this.#options.nowMs();
      this.#link.steady();
      this.#renewInTime();
    }
    // Live although the snapshot comes later: what was typed meanwhile must not wait for it.
    const early = justLive && again.length === 0 ? unsettled(this.view).map((own) => own.message_id) : again;
    for (const id of early) this.#submit(id);
    if (justLive) for (const message_id of this.#cancels) this.#link.send({ type: "cancel", message_id });
  }

  #hear(messageId) {
    if (typeof messageId !== "string") return;
    const message = this.view.messages.get(messageId);
    if (message ? isTerminal(message) : !this.view.own.has(messageId)) this.#heardMs.delete(messageId);
    else this.#heardMs.set(messageId, this.#options.nowMs());
  }

  #submit(messageId) {
    const own = unsettled(this.view).find(({ message_id }) => message_id === messageId);
    if (!own) return;
    const waitMs = this.#hold.waitMs(this.#options.nowMs());
    if (waitMs > 0) return this.#timers.start(`submit ${messageId}`, waitMs, () => this.#submit(messageId));
    const { content, on_busy, model } = own;
    const busy = on_busy === "enqueue" ? {} : { on_busy };
    this.#submitted.add(messageId);
    this.#hear(messageId);
    this.#link.send({ type: "user_message", message_id: messageId, content, ...busy, ...(model ? { model } : {}) });
  }

  /** Fail the message that the socket was closed for; sent again, it would close every other socket too. */
  #failTooBig() {
    const sent = unsettled(this.view).filter(({ message_id, submit }) => submit !== "accepted" && this.#submitted.has(message_id));
    const bytes = ({ content }) => new TextEncoder().encode(JSON.stringify(content)).length;
    const [largest] = sent.sort((one, other) => bytes(other) - bytes(one));
    if (!largest) return false;
    const { message_id } = largest;
    this.view = reduce(this.view, { type: "error", code: "content_too_long", message: "the message is too big", retryable: false, message_id });
    return true;
  }

  #dropEndedCancels() {
    for (const id of this.#cancels) {
      const message = this.view.messages.get(id);
      if (this.view.ended.has(id) || (message && isTerminal(message))) this.#cancels.delete(id);
    }
  }

  /** An error of the gateway that changed no own message: of a cancel, or of a frame without an id. */
  #tellNotice(frame, before) {
    if (frame.type !== "error" || typeof frame.cursor === "string" || this.view !== before) return;
    const { code, message, message_id } = frame;
    if (code === "unsupported" && this.#tokens.token && !message_id) return; // it needs no token
    const aboutCancel = this.#cancels.has(message_id) || code === "nothing_to_cancel" || code === "unsupported";
    if (this.view.messages.has(message_id) && !aboutCancel) return; // a repeat that was not needed
    if (aboutCancel && message_id) this.#cancels.delete(message_id);
    else if (aboutCancel) this.#cancels.clear();
    this.onNotice({ code, message, message_id });
  }
}
