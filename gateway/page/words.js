/** What the page says to people about codes and states. Pure, so that every code can be looked up in a test. */

const ANSWER_ERRORS = {
  model_unavailable: "The model can’t be reached right now.",
  model_timeout: "The model took too long to answer.",
  model_rejected: "The model refused this request.",
  context_too_long: "This conversation has become too long for the model. A new chat will work.",
  retries_exhausted: "This answer failed several times and was given up.",
  busy: "Another answer was still being written.",
  internal: "Something went wrong while answering.",
  lost: "This answer was lost before it was finished.",
  unsupported: "This can’t be done here yet.",
};

const SUBMIT_ERRORS = {
  bad_frame: "The message couldn’t be read.",
  bad_message_id: "The message couldn’t be read.",
  unknown_type: "The gateway doesn’t know this kind of message.",
  content_empty: "The message is empty.",
  content_too_long: "The message is too long.",
  message_id_reused: "This message was already sent with other words.",
  bad_model: "This model isn’t available.",
  forbidden: "You may read this chat, but not do this in it.",
  rate_limited: "Too many messages in a short time. Wait a moment, then try again.",
  busy: "Too many messages are waiting already. Try again when an answer is finished.",
  unavailable: "The service isn’t available right now.",
  unsupported: "This can’t be done here yet.",
};

const ENDINGS = {
  length: "The answer reached its length limit.",
  content_filter: "The model’s filter stopped this answer.",
  cancelled: "This answer was stopped.",
  interrupted: "Interrupted by a newer message.",
  incomplete: "The model broke off; the answer may be incomplete.",
};

const NOTICES = {
  nothing_to_cancel: "There is nothing to stop: the answer is already finished.",
  unsupported: "Stopping an answer isn’t possible here yet. It will finish by itself.",
  rate_limited: "Too many requests in a short time. Wait a moment.",
  unavailable: "That isn’t possible right now. Try again in a moment.",
};

const STOPPED = {
  1000: "The gateway closed this chat.",
  1009: "The gateway refused a message that was too big.",
  4001: "Sign in again: your sign-in is missing or has expired.",
  4003: "You don’t have access to this chat.",
  4004: "This chat’s address isn’t valid.",
  4005: "The gateway and this page don’t understand each other. Reload the page.",
};

/** Why an answer failed; what the model server said is not for people, an unknown code's text is. */
export function answerError({ code, message }) {
  return ANSWER_ERRORS[code] ?? (message || "This answer failed.");
}

/** Why a message was not taken, and when it would be. */
export function submitError({ code, message, limit, retry_after_ms: waitMs }) {
  const again = waitMs > 0 ? ` Try again in ${duration(Math.ceil(waitMs / 1000))}.` : "";
  if (again && limit === "user_tokens_per_day") return `You have used up what you may today.${again}`;
  if (again && code === "rate_limited") return `Too many messages in a short time.${again}`;
  if (again && code === "busy" && limit === "busy_after_s") return `Very many are waiting for an answer right now.${again}`;
  if (again && code === "busy") return `Too many messages are waiting already.${again}`;
  return SUBMIT_ERRORS[code] ?? (message || "The message wasn’t sent.");
}

/** How an answer ended, if it is worth a word; a reason of a later version is its own word. */
export function ending(finishReason) {
  if (!finishReason || finishReason === "stop") return null;
  return ENDINGS[finishReason] ?? `The answer ended: ${finishReason.replaceAll("_", " ")}.`;
}

/** Why an answer that ended in order has no text, or null: something came, or its ending says why. */
export function noText({ state, text, finish_reason: reason, tool_calls_ignored: calls }) {
  if (state !== "complete" || text !== "" || (reason ?? "stop") !== "stop") return null;
  if (calls > 0) return "No text came: the model asked for a tool, and it has none here.";
  return "No text came from the model.";
}

/** What stands over the model's reasoning: for how long it thought, once that is known. */
export function thought({ text, timing }, done) {
  const ms = timing?.reasoning_ms;
  if (Number.isFinite(ms)) return ms < 1000 ? "Thought for less than a second" : `Thought for ${duration(Math.round(ms / 1000))}`;
  return done || text !== "" ? "Thoughts" : "Thinking…";
}

function duration(s) {
  if (s >= 2 * 3600) return `${Math.round(s / 3600)} hours`;
  return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`;
}

/** What is said of a message for which no worker has room. */
export function crowded({ position, eta_ms: etaMs }) {
  return `Many are waiting: ${position - 1} before you, about ${duration(Math.ceil(etaMs / 1000))}`;
}

/** What stands in place of the message box for who may only read. */
export const READ_ONLY = "You may read this chat, but not write in it.";

/** What a refused request that belongs to no message means. */
export function notice({ code, message }) {
  return NOTICES[code] ?? SUBMIT_ERRORS[code] ?? (message || "That didn’t work.");
}

/** 1st, 2nd, 3rd, 4th … in line. */
export function inLine(place) {
  const teen = place % 100 >= 11 && place % 100 <= 13;
  const ending = teen ? "th" : { 1: "st", 2: "nd", 3: "rd" }[place % 10] ?? "th";
  return `Waiting, ${place}${ending} in line`;
}

/** The few words of the badge: how the connection is. */
export function badge({ state }, online) {
  if (!online && state !== "stopped") return "Offline";
  const words = { idle: "Not connected", connecting: "Connecting…", joining: "Connecting…", live: "Connected", waiting: "Reconnecting…", sleeping: "Paused", stopped: "Not connected" };
  return words[state];
}

/** Closes after which another try changes nothing: there is only another chat. */
const NO_WAY_IN = new Set([4003, 4004]);

/** What there is to say and do about the connection, or null: `{text, action, leads}`; it leads to a "new chat", or back. */
export function trouble({ state, code, retryAtMs }, nowMs, online) {
  if (state === "stopped") {
    const text = STOPPED[code] ?? "The connection was closed.";
    return NO_WAY_IN.has(code) ? { text, action: "Start a new chat", leads: "new chat" } : { text, action: "Try again" };
  }
  // A browser's socket may stay open for minutes after the network has gone: the browser knows it at once.
  if (!online) return { text: "You are offline. The chat goes on when the network is back.", action: "Try now" };
  if (state === "sleeping") return { text: "Paused while nothing happened.", action: "Wake up" };
  if (state !== "waiting") return null;
  const seconds = Math.ceil((retryAtMs - nowMs) / 1000);
  const when = seconds >= 1 ? `Reconnecting in ${seconds} s…` : "Reconnecting…";
  const full = code === 4009 ? "Too many connections. " : "";
  return { text: `${full}${when}`, action: "Try now" };
}

/** The small print under an answer: model, tokens, seconds, how fast, how soon, tries. */
export function smallPrint({ model, usage, timing, starts }) {
  const parts = [];
  if (model) parts.push(model);
  if (usage) parts.push(tokens(usage));
  if (timing) parts.push(`${(timing.total_ms / 1000).toFixed(1)} s`);
  if (usage && timing && starts <= 1) parts.push(...speed(usage, timing)); // of several tries the sum was counted
  if (Number.isFinite(timing?.first_token_ms)) parts.push(`first word after ${(timing.first_token_ms / 1000).toFixed(1)} s`);
  if (starts > 1) parts.push(`${starts} tries`);
  return parts.join(" · ");
}

function tokens({ completion_tokens: count, estimated }) {
  return `${estimated ? "about " : ""}${count} ${count === 1 ? "token" : "tokens"}`;
}

/** How fast the text was written, once it had begun; what was thought before it is no part of it. */
function speed({ completion_tokens: count, reasoning_tokens: thoughts = 0 }, { total_ms: total, first_token_ms: first }) {
  const perSecond = ((count - thoughts) * 1000) / (total - first);
  if (!Number.isFinite(first) || !(perSecond > 0) || !Number.isFinite(perSecond)) return [];
  return [`${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond)} tokens/s`];
}

/** When something was said, in the reader's zone and way of writing it: {short, long}, or null. */
export function clock(createdAt, now) {
  const said = new Date(createdAt ?? "");
  if (Number.isNaN(said.getTime())) return null;
  const time = { hour: "2-digit", minute: "2-digit" };
  const today = said.toDateString() === now.toDateString();
  const day = { month: "short", day: "numeric", ...(said.getFullYear() === now.getFullYear() ? {} : { year: "numeric" }) };
  const short = said.toLocaleString([], today ? time : { ...day, ...time });
  return { short, long: said.toLocaleString([], { dateStyle: "full", timeStyle: "medium" }) };
}
