/**
 * What one client believes: server frames in order of receipt -> the view of a session. Pure.
 *
 * A view is what the log says (`messages`, by `fold.js`) and, apart from it, what this client itself
 * submitted and the log has not yet said anything about (`own`). Both are maps by message id, replaced
 * and never changed, as is the view.
 *
 * Order is everything. A frame at or before the last cursor is a repeat. After `connected` with
 * `recovered` false or null the fold starts empty, and there is no cursor to resume with until the
 * snapshot has come: what was received in between is not the whole. `ended` names messages that are over
 * but not shown; without it a late start of one would look like a new answer that never ends. They stay
 * over until the next snapshot names them anew.
 */

import { applyEvent, countsAfterForgetting, forgottenBefore, isTerminal, messageWith } from "./fold.js";

const LOG_TYPES = new Set(["status", "ai_response_chunk", "ai_reasoning_chunk", "ai_response_complete", "error"]);

export const EMPTY_VIEW = Object.freeze({
  epoch: null,
  cursor: null,
  joined: false, // the view is the whole: a snapshot, or an exact resume
  broken: false, // something can't be put in its place: connect again, without a cursor
  historyMissing: false, // the gateway said that the snapshot comes later
  messages: new Map(),
  own: new Map(),
  ended: new Set(),
  waits: new Map(), // id of a message for which no worker has room -> {position, eta_ms}, as the gateway reckoned
  more: false, // there are finished messages before these
  forgotten: null, // the session was erased: what was said before this offset of `user_messages` is gone
});

/** The cursor to resume with, or null: then the gateway answers with a snapshot. */
export function resumeCursor(view) {
  return view.joined && !view.broken ? view.cursor : null;
}

/** Note a message that this client is about to submit. Sending the same id again is the same message. */
export function submitted(view, { message_id, content, on_busy = "enqueue", model = null, created_at = null }) {
  if (view.messages.has(message_id) || view.ended.has(message_id)) return view;
  const own = { message_id, content, on_busy, model, created_at, submit: "sending", error: null };
  return withOwn(view, Object.freeze(own));
}

/** Forget an own message of which the log has said nothing (one that failed, or was never sent). */
export function forgotten(view, message_id) {
  const own = new Map(view.own);
  own.delete(message_id);
  return { ...view, own };
}

/** Own messages that the client sends again whenever it knows where it stands: those without a state. */
export function unsettled(view) {
  return [...view.own.values()].filter(({ submit }) => submit !== "failed" && submit !== "ended");
}

/** Ids to send again, with the same id, now that `frame` was reduced into `view`. */
export function resendAfter(frame, view) {
  const whole = frame.type === "snapshot" || (frame.type === "status" && frame.state === "connected" && frame.recovered === true);
  if (whole) return unsettled(view).map(({ message_id }) => message_id);
  const unknown = isGatewayError(frame) && frame.code === "outcome_unknown" && view.own.has(frame.message_id);
  return unknown ? [frame.message_id] : [];
}

/** Take the next frame. Unknown types change nothing but, if they come from the log, the cursor. */
export function reduce(view, frame) {
  if (frame.type === "status" && frame.state === "connected") return connected(view, frame);
  if (view.broken) return view;
  if (frame.type === "snapshot") return snapshot(view, frame);
  if (frame.type === "history") return earlier(view, frame);
  if (frame.type === "status" && frame.state === "accepted") return accepted(view, frame);
  if (frame.type === "status" && frame.state === "queued" && typeof frame.cursor !== "string") return waiting(view, frame);
  if (frame.type === "status" && frame.state === "history_unavailable") return { ...view, historyMissing: true };
  if (isGatewayError(frame)) return refused(view, frame);
  return typeof frame.cursor === "string" ? fromLog(view, frame) : view;
}

const isGatewayError = (frame) => frame.type === "error" && typeof frame.cursor !== "string";

function connected(view, frame) {
  const fresh = { ...view, epoch: frame.epoch ?? null, broken: false, historyMissing: false };
  if (frame.recovered === true) return fresh;
  const forgotten = fresh.epoch === view.epoch ? view.forgotten : null; // until the snapshot tells it anew
  return { ...fresh, waits: new Map(), more: false, joined: false, cursor: null, messages: new Map(), forgotten };
}

function fromLog(view, frame) {
  const order = view.cursor === null ? 1 : compareCursors(frame.cursor, view.cursor);
  if (order === null) return { ...view, broken: true };
  if (order <= 0) return view;
  const moved = { ...view, cursor: frame.cursor };
  if (frame.type === "session_forgotten") return erased(moved, frame);
  const id = frame.message_id;
  if (!LOG_TYPES.has(frame.type) || typeof id !== "string" || view.ended.has(id)) return moved;
  const before = view.messages.get(id);
  if (!before && !countsAfterForgetting(view.forgotten, frame)) return moved;
  const { message, outcome } = applyEvent(before, frame);
  if (outcome === "OVERLAP") return { ...view, broken: true };
  if (message === before) return moved;
  return settled({ ...moved, messages: new Map(view.messages).set(id, withOwnPrompt(message, view.own.get(id))) }, [id]);
}

/** All is gone, own messages too: the log may have had them already, and what it has not is to be said anew. */
function erased(view, frame) {
  const gone = { messages: new Map(), own: new Map(), ended: new Set(), waits: new Map(), more: false };
  return { ...view, ...gone, forgotten: forgottenBefore(view.forgotten, frame) };
}

/** Positive if `a` is after `b`, null if they can't be compared: of another epoch or another shard. */
export function compareCursors(a, b) {
  const [epochA, shardA, offsetA] = a.split(".");
  const [epochB, shardB, offsetB] = b.split(".");
  if (epochA !== epochB || shardA !== shardB) return null;
  const difference = BigInt(offsetA) - BigInt(offsetB);
  return difference > 0n ? 1 : difference < 0n ? -1 : 0;
}

function snapshot(view, frame) {
  const messages = new Map();
  for (const entry of frame.messages ?? []) {
    messages.set(entry.message_id, withEntry(messages.get(entry.message_id), entry));
  }
  const ended = new Set(frame.ended ?? []);
  const forgotten = frame.forgotten_before ?? null;
  const erasedSince = forgotten !== null && forgotten > (view.forgotten ?? -1);
  const own = new Map(view.own);
  for (const [id, message] of own) {
    if (erasedSince && message.submit === "accepted") own.delete(id); // if it was said since, the log brings it
    else if (ended.has(id)) own.set(id, Object.freeze({ ...message, submit: "ended", error: null }));
  }
  const more = frame.more ?? ended.size > 0;
  const next = { ...view, cursor: frame.cursor, joined: true, historyMissing: false, messages, own, ended, more, forgotten };
  return settled(next, messages.keys());
}

/** A page of finished messages: they stand before all others, and change none of them. */
function earlier(view, frame) {
  if (!view.joined) return view; // asked before the socket broke
  const older = new Map();
  for (const entry of frame.messages ?? []) {
    if (!view.messages.has(entry.message_id)) older.set(entry.message_id, withEntry(older.get(entry.message_id), entry));
  }
  const ended = new Set([...view.ended].filter((id) => !older.has(id)));
  // A page of what is here already is the newest one: what was asked for before is no longer stored.
  const more = frame.more === true && older.size > 0;
  const next = { ...view, messages: new Map([...older, ...view.messages]), ended, more };
  return settled(next, older.keys());
}

/** One entry of a snapshot: what the user said, or the answer's state so far. */
function withEntry(message, entry) {
  const known = message ?? messageWith({ message_id: entry.message_id });
  const { role, content, created_at = null, error_code, code, message: text, retryable, ...state } = entry;
  if (role === "user") {
    return Object.freeze({ ...known, ...(message ? {} : state), prompt: { content, created_at } });
  }
  const failed = error_code ?? code ?? null;
  const error = state.error ?? (failed && { code: failed, message: text ?? "", retryable: retryable ?? false });
  const prompt = known.prompt ?? state.prompt ?? null;
  return Object.freeze({ ...known, ...state, prompt, text: content ?? "", error, error_code: error?.code ?? null });
}

function accepted(view, frame) {
  const own = view.own.get(frame.message_id);
  if (!own || own.submit === "ended") return view;
  return withOwn(view, Object.freeze({ ...own, submit: "accepted", error: null }));
}

/** The gateway's word on how long a message waits; the log's own `queued` has a cursor. It changes nothing else. */
function waiting(view, { message_id, position, eta_ms }) {
  if (typeof message_id !== "string" || !Number.isFinite(eta_ms)) return view;
  return { ...view, waits: new Map(view.waits).set(message_id, Object.freeze({ position, eta_ms })) };
}

/** An error of the gateway that names an own message. It ends nothing: the log may still give a state. */
function refused(view, { message_id, code, message, retryable = false, retry_after_ms = null, limit = null }) {
  const own = view.own.get(message_id);
  // These two answer a cancel as well, and a cancel that came to nothing is no failure of the message.
  const aboutCancel = code === "nothing_to_cancel" || (code === "unsupported" && own?.submit === "accepted");
  if (!own || own.submit === "ended" || aboutCancel) return view;
  const submit = code === "outcome_unknown" ? "unknown" : "failed";
  return withOwn(view, Object.freeze({ ...own, submit, error: { code, message, retryable, retry_after_ms, limit } }));
}

function withOwn(view, message) {
  return { ...view, own: new Map(view.own).set(message.message_id, message) };
}

function withOwnPrompt(message, own) {
  if (!own || message.prompt) return message;
  return Object.freeze({ ...message, prompt: { content: own.content, created_at: own.created_at } });
}

/** The log has said something about these: they are no longer the client's own concern. */
function settled(view, ids) {
  const gone = [...ids].filter((id) => view.own.has(id));
  if (gone.length === 0) return view;
  const own = new Map(view.own);
  for (const id of gone) own.delete(id);
  return { ...view, own };
}

/** Whether the log holds a message that has not ended. */
export function hasOpenMessages(view) {
  for (const message of view.messages.values()) if (!isTerminal(message)) return true;
  return false;
}

/** Messages of the log that have not ended, in the order of their first event. */
export function openMessages(view) {
  return [...view.messages.values()].filter((message) => !isTerminal(message));
}
