/**
 * The fold of one message: events in log order -> what is true of it. Pure.
 *
 * It repeats `schemas/transcript.py` for browsers; the cases in `schemas/vectors/` hold the two together.
 * A message is a frozen plain object: a new one for every event that counts, the same one for every
 * event that does not, so that a reader sees by `===` whether there is something to draw.
 *
 * queued -> generating -> complete or error. What follows a terminal is ignored. A start with a lower
 * fence than the current attempt's is ignored, otherwise the later start in the log wins: a process that
 * was thought dead can write, and nobody listens. Chunks and terminals count only of the current attempt.
 * A start that `continues` keeps the text until its first chunk, which repeats it whole: no text ever shrinks.
 * Reasoning is kept apart from the text, and counted by a sequence of its own; it is never repeated.
 *
 * `session_forgotten` takes all messages away. What comes later of one that is not known counts only if it
 * says that its prompt was said at or after the offset which that event names (`countsAfterForgetting`).
 */

const NEW = Object.freeze({
  message_id: null,
  prompt: null,
  state: "queued",
  attempt: null,
  fence: null,
  released: false,
  starts: 0,
  unended_starts: 0,
  last_sequence: 0,
  last_reasoning_sequence: 0,
  damaged: false,
  cancelling: null,
  position: null,
  text: "",
  reasoning: "",
  finish_reason: null,
  error: null,
  error_code: null,
  usage: null,
  timing: null,
  history: null,
  model: null,
  worker: null,
  continues: null,
  tool_calls_ignored: 0,
});

/** What changed something; every other outcome left the message as it was. */
const COUNTING = new Set(["QUEUED", "STARTED", "ALIVE", "CANCELLING", "RELEASED", "CHUNK", "REASONING", "ENDED"]);

/** Give a message with these fields, everything else as of one of which nothing is known. */
export function messageWith(fields) {
  return Object.freeze({ ...NEW, ...fields });
}

/** Whether it has ended; nothing changes it any more. */
export function isTerminal(message) {
  return message.state === "complete" || message.state === "error";
}

/**
 * Take the next event in log order: `{message, outcome}`.
 *
 * `message` is undefined while nothing counted of this id, before as after. `first_sequence` is that of a
 * merged chunk (its `sequence` is then the last). OVERLAP: a merged chunk that begins before and ends
 * after what is there; it can't be cut, so the reader has to begin again.
 */
export function applyEvent(message, event) {
  if (message && isTerminal(message)) return { message, outcome: "LATE" };
  const before = message ?? messageWith({ message_id: event.message_id });
  const [outcome, changes] = step(before, event);
  if (!COUNTING.has(outcome)) return { message, outcome: message ? outcome : "UNKNOWN" };
  if (message && !changes) return { message, outcome };
  return { message: Object.freeze({ ...before, ...changes }), outcome };
}

/** The offset in `user_messages` before which all is forgotten, once this `session_forgotten` has come too. */
export function forgottenBefore(forgotten, event) {
  return Math.max(forgotten ?? 0, Number.isSafeInteger(event.said_before) ? event.said_before : 0);
}

/** Whether an event of a message that is not known may count where all said before the offset `forgotten` is gone. */
export function countsAfterForgetting(forgotten, event) {
  return forgotten === null || event.prompt_offset >= forgotten;
}

/** Compare two fences from left to right: negative if `a` is the lower. */
export function compareFences(a, b) {
  for (let part = 0; part < 3; part += 1) {
    if (a[part] !== b[part]) return a[part] - b[part];
  }
  return 0;
}

function step(message, event) {
  if (event.type === "ai_response_chunk") return chunk(message, event);
  if (event.type === "ai_reasoning_chunk") return reasoningChunk(message, event);
  if (event.type === "ai_response_complete" || event.type === "error") return end(message, event);
  if (event.type === "status" && Object.hasOwn(STATUS, event.state)) return STATUS[event.state](message, event);
  return ["SKIPPED"];
}

const isCurrent = (message, event) => message.state === "generating" && message.attempt === event.attempt;

const STATUS = {
  queued(message, event) {
    if (message.state !== "queued") return ["REPEATED"];
    return ["QUEUED", { prompt: message.prompt ?? event.prompt ?? null, position: event.position ?? null }];
  },

  generating(message, event) {
    const fence = event.fence ?? [0, 0, 0];
    if (message.fence && compareFences(fence, message.fence) < 0) return ["FENCED"];
    const goesOn = typeof event.continues === "string";
    return ["STARTED", {
      state: "generating",
      attempt: event.attempt,
      fence,
      prompt: message.prompt ?? event.prompt ?? null,
      model: event.model ?? null,
      worker: event.worker ?? null,
      continues: event.continues ?? null,
      released: false,
      damaged: goesOn && message.damaged,
      cancelling: null,
      last_sequence: 0,
      last_reasoning_sequence: 0,
      position: null,
      text: goesOn ? message.text : "",
      reasoning: goesOn ? message.reasoning : "",
      starts: message.starts + 1,
      unended_starts: message.unended_starts + 1,
    }];
  },

  alive(message, event) {
    return [isCurrent(message, event) ? "ALIVE" : "FENCED"];
  },

  cancelling(message, event) {
    if (!isCurrent(message, event)) return ["FENCED"];
    return ["CANCELLING", { cancelling: event.reason ?? null }];
  },

  // The text stays: a terminal of this attempt may still come, and then it is the answer.
  released(message, event) {
    if (!isCurrent(message, event)) return ["FENCED"];
    return ["RELEASED", { state: "queued", released: true, unended_starts: message.unended_starts - 1 }];
  },
};

function chunk(message, event) {
  const [refused, first] = place(message, event, message.last_sequence);
  if (refused) return [refused];
  return ["CHUNK", {
    text: message.last_sequence === 0 ? event.content : message.text + event.content,
    last_sequence: event.sequence,
    damaged: message.damaged || first > message.last_sequence + 1,
  }];
}

function reasoningChunk(message, event) {
  const [refused, first] = place(message, event, message.last_reasoning_sequence);
  if (refused) return [refused];
  return ["REASONING", {
    reasoning: message.reasoning + event.content,
    last_reasoning_sequence: event.sequence,
    damaged: message.damaged || first > message.last_reasoning_sequence + 1,
  }];
}

/** Why a chunk can't be put behind the one with sequence `last`, or null and where it begins. */
function place(message, event, last) {
  if (!isCurrent(message, event)) return ["FENCED"];
  const { sequence, content } = event;
  const first = event.first_sequence ?? sequence;
  if (!Number.isSafeInteger(sequence) || !Number.isSafeInteger(first) || typeof content !== "string") return ["SKIPPED"];
  if (sequence <= last) return ["REPEATED"];
  return first <= last ? ["OVERLAP"] : [null, first];
}

function end(message, event) {
  if ((event.attempt ?? null) !== message.attempt) return ["FENCED"];
  const changes = {
    prompt: message.prompt ?? event.prompt ?? null,
    damaged: message.damaged || (event.last_sequence ?? 0) > message.last_sequence,
    released: false,
    cancelling: null,
    position: null,
  };
  if (event.type === "error") {
    const { code, message: text, retryable } = event;
    return ["ENDED", { ...changes, state: "error", error_code: code, error: { code, message: text, retryable } }];
  }
  const { finish_reason = null, usage = null, timing = null, history = "full", tool_calls_ignored = 0 } = event;
  return ["ENDED", { ...changes, state: "complete", finish_reason, usage, timing, history, tool_calls_ignored }];
}
