import assert from "node:assert/strict";
import { test } from "node:test";
import { may, renewInMs, sessionIdFor, tokenIn, TokenKeeper } from "../../gateway/page/token.js";

const minted = (claims) => `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;

test("a token is taken out of the fragment, and the session stays", () => {
  assert.deepEqual(tokenIn("#token=a.b.c"), { token: "a.b.c", hash: "" });
  assert.deepEqual(tokenIn("#/s/abc&token=a.b.c"), { token: "a.b.c", hash: "#/s/abc" });
  assert.deepEqual(tokenIn("#token=a.b.c&/s/abc"), { token: "a.b.c", hash: "#/s/abc" });
  assert.deepEqual(tokenIn("#/s/abc"), { token: null, hash: "#/s/abc" });
  assert.deepEqual(tokenIn("#/s/abc&token="), { token: null, hash: "#/s/abc" });
  assert.deepEqual(tokenIn(""), { token: null, hash: "" });
});

test("a new chat is named so that the token allows it", () => {
  const id = (claims) => sessionIdFor(claims && minted(claims), () => "new");
  assert.equal(id({ sessions: ["alice-*"] }), "alice-new");
  assert.equal(id({ sub: "ali", sessions: ["{sub}:*"] }), "ali:new");
  assert.equal(id({ sub: "jürgen", sessions: ["*-{sub}"] }), "new-jürgen");
  assert.equal(id({ sub: "$&", sessions: ["{sub}:*"] }), "$&:new");
  assert.equal(id({ sessions: ["room", "a*b*c"] }), "anewbc");
  assert.equal(id({ sessions: ["room"] }), "room");
  assert.equal(id({ sessions: [] }), "new");
  assert.equal(id({ sessions: "alice-*" }), "new");
  assert.equal(id(null), "new");
  assert.equal(sessionIdFor("no token", () => "new"), "new");
});

test("the next token is asked for half a minute before this one ends", () => {
  assert.equal(renewInMs(minted({ exp: 100 }), 0), 70_000);
  assert.equal(renewInMs(minted({ exp: 100 }), 99_000), 5_000);
  for (const exp of [undefined, "100", null]) assert.equal(renewInMs(minted({ exp }), 0), null);
  for (const text of ["", "a", "a.b.c", "a.bnVsbA.c"]) assert.equal(renewInMs(text, 0), null);
});

test("it is kept for the tab, and without storage as long as the page", () => {
  const stored = new Map();
  const storage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value) };
  new TokenKeeper(storage).token = "t";
  assert.equal(new TokenKeeper(storage).token, "t");
  const off = new TokenKeeper(null);
  assert.equal(off.token, null);
  off.token = "t";
  assert.equal(off.token, "t");
});

test("what a token does not name among its verbs is not offered", () => {
  assert.equal(may(minted({ verbs: ["read"] }), "say"), false);
  assert.equal(may(minted({ verbs: ["read", "say"] }), "say"), true);
  for (const token of [minted({}), "no token", null]) assert.equal(may(token, "say"), true);
});
