import assert from "node:assert/strict";
import { test } from "node:test";
import { clock, crowded, smallPrint, submitError, trouble } from "../../gateway/page/words.js";

test("the small print says how fast and how soon, where that is known", () => {
  const timing = { queued_ms: 1, first_token_ms: 500, total_ms: 2500 };
  const usage = { completion_tokens: 110, reasoning_tokens: 10, estimated: false };
  assert.equal(smallPrint({ model: "m", usage, timing, starts: 1 }), "m · 110 tokens · 2.5 s · 50 tokens/s · first word after 0.5 s");
  assert.equal(smallPrint({ model: "m", usage, timing, starts: 2 }), "m · 110 tokens · 2.5 s · first word after 0.5 s · 2 tries");
  assert.equal(smallPrint({ model: null, usage: null, timing: { ...timing, first_token_ms: null }, starts: 1 }), "2.5 s");
  assert.equal(smallPrint({ model: null, usage, timing: { ...timing, total_ms: 500 }, starts: 1 }), "110 tokens · 0.5 s · first word after 0.5 s");
});

test("a time of today needs no day, and what is none is not shown", () => {
  const said = new Date(2026, 0, 5, 14, 3);
  const today = clock(said.toISOString(), new Date(2026, 0, 5, 23, 0));
  const later = clock(said.toISOString(), new Date(2027, 0, 6));
  assert.match(today.short, /^\D*0?(14|2)\D03/);
  assert.ok(later.short.includes("2026") && later.short.length > today.short.length);
  for (const none of [null, undefined, "", "yesterday"]) assert.equal(clock(none, said), null);
});

test("offline is told in every state but one that is for good, and a closed door has another", () => {
  for (const state of ["live", "connecting", "joining", "waiting", "sleeping"]) {
    assert.match(trouble({ state, code: null, retryAtMs: 0 }, 0, false).text, /offline/);
  }
  for (const code of [4003, 4004]) assert.equal(trouble({ state: "stopped", code }, 0, true).leads, "new chat");
  assert.equal(trouble({ state: "stopped", code: 4005 }, 0, true).action, "Try again");
  assert.equal(trouble({ state: "live", code: null }, 0, true), null);
});

test("a limit that is met says when there is room, in words that fit it", () => {
  const said = (code, limit, ms) => submitError({ code, limit, message: "m", retry_after_ms: ms });
  assert.match(said("rate_limited", "user_tokens_per_day", 7_200_000), /today.*2 hours/);
  assert.match(said("rate_limited", "user_messages_per_minute", 61_000), /short time.*1 min 1 s/);
  assert.match(said("busy", "busy_after_s", 30_000), /Very many.*30 s/);
  assert.match(said("busy", "user_running", 2_000), /waiting already.*2 s/);
  assert.match(said("busy", undefined, null), /waiting already/);
  assert.equal(crowded({ position: 13, eta_ms: 39_400 }), "Many are waiting: 12 before you, about 40 s");
});
