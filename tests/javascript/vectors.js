/** Runs one file of vectors: node vectors.js FILE -> a JSON line a case: {name, problems: [...]}. */

import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { countsAfterForgetting, forgottenBefore } from "../../gateway/page/fold.js";
import { applyEvent, EMPTY_VIEW, reduce, resendAfter, resumeCursor, submitted } from "../../gateway/page/session.js";

/** Names of the fold's outcomes that JavaScript tells as well. */
function foldEvents(steps, problems) {
  const messages = new Map();
  let forgotten = null;
  for (const [index, { event, first_sequence, outcome: expected }] of steps.entries()) {
    const id = event.message_id;
    const { message, outcome } = step(messages, forgotten, { ...event, first_sequence });
    if (outcome === "FORGOTTEN") {
      forgotten = forgottenBefore(forgotten, event);
      messages.clear();
    } else if (message) messages.set(id, message);
    if (expected && outcome !== expected) problems.push(`event ${index}: ${outcome}, not ${expected}`);
  }
  return messages;
}

function step(messages, forgotten, event) {
  if (event.type === "session_forgotten") return { outcome: "FORGOTTEN" };
  const known = messages.get(event.message_id);
  return known || countsAfterForgetting(forgotten, event) ? applyEvent(known, event) : { outcome: "LATE" };
}

function foldFrames({ frames, own }) {
  let view = EMPTY_VIEW;
  for (const message_id of own ?? []) view = submitted(view, { message_id, content: `prompt ${message_id}` });
  const resend = [];
  for (const frame of frames) {
    view = reduce(view, Object.freeze(frame));
    resend.push(...resendAfter(frame, view));
  }
  return { view, resend };
}

function compare(what, actual, expected, problems) {
  if (isDeepStrictEqual(actual, expected)) return;
  problems.push(`${what}: ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
}

function compareMessages(messages, expected, problems) {
  compare("ids", [...messages.keys()].sort(), Object.keys(expected).sort(), problems);
  for (const [id, fields] of Object.entries(expected)) {
    for (const [field, value] of Object.entries(fields)) {
      compare(`${id}.${field}`, messages.get(id)?.[field], value, problems);
    }
  }
}

function run(vector) {
  const problems = [];
  if (vector.events) {
    compareMessages(foldEvents(vector.events, problems), vector.messages, problems);
    return problems;
  }
  const { view, resend } = foldFrames(vector);
  compareMessages(view.messages, vector.messages, problems);
  compare("cursor", resumeCursor(view), vector.cursor, problems);
  compare("resend", resend, vector.resend, problems);
  if (vector.order) compare("order", [...view.messages.keys()], vector.order, problems);
  if (vector.submits) {
    const submits = Object.fromEntries([...view.own].map(([id, { submit }]) => [id, submit]));
    compare("submits", submits, vector.submits, problems);
  }
  return problems;
}

for (const vector of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  console.log(JSON.stringify({ name: vector.name, problems: run(vector) }));
}
