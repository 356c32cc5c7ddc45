import assert from "node:assert/strict";
import { test } from "node:test";
import { Session, TooManyWaiting, newId } from "../../gateway/page/session.js";
import { World, chunk, complete, connected, generating, snapshot } from "./world.js";

function following(options = {}) {
  const world = new World();
  let count = 0;
  const session = new Session({ ...world.options, sessionId: "abc", makeId: () => `m${(count += 1)}`, ...options });
  return { world, session };
}

function live(options = {}) {
  const { world, session } = following(options);
  session.connect();
  world.socket.opens();
  world.socket.gives(connected(), snapshot(9));
  return { world, session };
}

test("the address holds the session, and history only when given; never the token", () => {
  const { world, session } = following({ history: 50, token: "t" });
  session.connect();
  assert.equal(`${world.socket.address}`, "ws://gateway.test/ws/chat/abc/?history=50");
  world.socket.opens();
  assert.deepEqual(world.socket.sent, [{ type: "token", token: "t" }]);
});

test("ids are 26 characters that the gateway takes, and all different", () => {
  const ids = new Set(Array.from({ length: 1000 }, newId));
  assert.equal(ids.size, 1000);
  for (const id of ids) assert.match(id, /^[0-9a-z]{26}$/);
});

test("the states on the way to a live connection", () => {
  const { world, session } = following();
  const seen = [];
  session.onChange = () => seen.at(-1) === session.connection.state || seen.push(session.connection.state);
  session.connect();
  world.socket.opens();
  world.socket.gives(connected(), snapshot(9));
  assert.deepEqual(seen, ["connecting", "joining", "live"]);
});

test("a message typed before the join is sent once, at the snapshot", () => {
  const { world, session } = following();
  session.connect();
  session.send("early");
  world.socket.opens();
  world.socket.gives(connected());
  assert.deepEqual(world.socket.sent, []);
  world.socket.gives(snapshot(9));
  assert.deepEqual(world.socket.sent, [{ type: "user_message", message_id: "m1", content: "early" }]);
});

test("a message typed before the join does not wait for a snapshot that comes later", () => {
  const { world, session } = following();
  session.connect();
  session.send("early");
  world.socket.opens();
  world.socket.gives(connected(), { type: "status", state: "history_unavailable" });
  assert.equal(session.connection.state, "live");
  assert.equal(world.socket.of("user_message").length, 1);
});

test("on_busy and model are sent along", () => {
  const { world, session } = live();
  session.send("now", { onBusy: "interrupt", model: "tiny" });
  assert.deepEqual(world.socket.sent, [{ type: "user_message", message_id: "m1", content: "now", on_busy: "interrupt", model: "tiny" }]);
});

test("a cut in mid-answer resumes from the cursor, and nothing is lost or repeated", () => {
  const { world, session } = live();
  world.socket.gives(generating(10, "x"), chunk(11, "x", 1, "Hel"));
  world.socket.closes(1006);
  world.pass(500);
  assert.equal(world.socket.address.searchParams.get("cursor"), "1.0.11");
  world.socket.opens();
  world.socket.gives(connected(true), chunk(12, "x", 2, "lo"), complete(13, "x", 2));
  assert.equal(session.view.messages.get("x").text, "Hello");
  assert.equal(session.connection.state, "live");
});

test("a cut between connected and snapshot comes back without a cursor", () => {
  const { world, session } = live();
  world.socket.closes(1006);
  world.pass(500);
  world.socket.opens();
  world.socket.gives(connected(false), chunk(12, "x", 2, "lo"));
  world.socket.closes(1006);
  world.pass(2000);
  assert.equal(world.socket.address.search, "");
  assert.equal(session.view.joined, false);
});

test("a merged frame that overlaps drops the socket and comes back without a cursor", () => {
  const { world } = live();
  world.socket.gives(generating(10, "x"), chunk(11, "x", 1, "a"), { ...chunk(13, "x", 3, "abc"), first_sequence: 1 });
  assert.equal(world.sockets[0].readyState, 3);
  world.pass(500);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.socket.address.search, "");
});

test("what a given-up socket still says is not heard", () => {
  const { world, session } = live();
  world.socket.closes(1006);
  world.sockets[0].gives(generating(10, "x"));
  assert.equal(session.view.messages.size, 0);
});

test("a message without a state is sent again after an exact resume, with the same id", () => {
  const { world, session } = live();
  session.send("hi");
  world.socket.closes(1006);
  world.pass(500);
  world.socket.opens();
  world.socket.gives(connected(true));
  assert.deepEqual(world.socket.of("user_message").map((frame) => frame.message_id), ["m1"]);
});

test("an unknown outcome is sent again with the same id, a second later", () => {
  const { world, session } = live();
  session.send("hi");
  world.socket.gives({ type: "error", code: "outcome_unknown", message: "?", retryable: true, message_id: "m1" });
  assert.equal(world.socket.of("user_message").length, 1);
  world.pass(1000);
  assert.deepEqual(world.socket.of("user_message").map((frame) => frame.message_id), ["m1", "m1"]);
});

test("an unknown outcome that the log settles meanwhile is not sent again", () => {
  const { world, session } = live();
  session.send("hi");
  world.socket.gives({ type: "error", code: "outcome_unknown", message: "?", retryable: true, message_id: "m1" }, generating(10, "m1"));
  world.pass(5000);
  assert.equal(world.socket.of("user_message").length, 1);
  assert.equal(session.view.own.size, 0);
});

test("a failed message is sent again only when the user says so, as the same message", () => {
  const { world, session } = live();
  session.send("hi");
  world.socket.gives({ type: "error", code: "rate_limited", message: "slow down", retryable: true, message_id: "m1" });
  assert.equal(session.view.own.get("m1").submit, "failed");
  session.retry("m1");
  assert.deepEqual(world.socket.of("user_message").map((frame) => frame.message_id), ["m1", "m1"]);
  assert.equal(session.view.own.get("m1").submit, "sending");
});

test("a dismissed message is gone", () => {
  const { world, session } = live();
  session.send("hi");
  world.socket.gives({ type: "error", code: "unavailable", message: "no", retryable: true, message_id: "m1" });
  session.dismiss("m1");
  assert.equal(session.view.own.size, 0);
});

test("fifty messages that wait are enough", () => {
  const { session } = following();
  for (let index = 0; index < 50; index += 1) session.send("x");
  assert.throws(() => session.send("x"), TooManyWaiting);
});

test("backoff doubles from half a second to thirty, and jitter is the whole range", () => {
  const { world, session } = following();
  world.chance = 0.999999;
  session.connect();
  const waits = [];
  for (let index = 0; index < 9; index += 1) {
    world.socket.closes(1006);
    waits.push(Math.round((session.connection.retryAtMs - world.ms) / 100) / 10);
    world.pass(session.connection.retryAtMs - world.ms);
  }
  assert.deepEqual(waits, [0.5, 1, 2, 4, 8, 16, 30, 30, 30]);
  world.chance = 0;
  world.socket.closes(1006);
  assert.equal(session.connection.retryAtMs, world.ms);
});

test("a connection that lasted five seconds resets the backoff, a short one does not", () => {
  const { world, session } = live();
  world.chance = 0.999999;
  world.socket.closes(1006);
  world.pass(1000);
  world.socket.opens();
  world.socket.gives(connected(true));
  world.socket.closes(1006);
  assert.equal(session.connection.retryAtMs - world.ms, 1000);
  world.pass(1000);
  world.socket.opens();
  world.socket.gives(connected(true));
  world.pass(5000);
  world.socket.closes(1006);
  assert.equal(session.connection.retryAtMs - world.ms, 500);
});

for (const [code, state] of [[1000, "stopped"], [1001, "waiting"], [1006, "waiting"], [1009, "stopped"], [1011, "waiting"], [1012, "waiting"], [4001, "stopped"], [4003, "stopped"], [4004, "stopped"], [4005, "stopped"], [4008, "waiting"], [4009, "waiting"], [4010, "sleeping"]]) {
  test(`after close ${code} the session is ${state}`, () => {
    const { world, session } = live();
    world.socket.closes(code);
    assert.equal(session.connection.state, state);
    assert.equal(session.connection.code, code);
  });
}

test("a socket closed for a frame that was too big fails its message, and goes on without it", () => {
  // Seen: the message was sent again after every reload, and every socket was closed for it, for an hour.
  const { world, session } = live();
  session.send("small");
  const big = session.send("b".repeat(300_000));
  session.send("small too");
  world.socket.closes(1009);
  assert.equal(session.view.own.get(big).submit, "failed");
  assert.equal(session.connection.state, "connecting");
  world.socket.opens();
  world.socket.gives(connected(true));
  assert.deepEqual(world.socket.of("user_message").map(({ content }) => content), ["small", "small too"]);
});

test("a message that was accepted is not what the socket was closed for", () => {
  const { world, session } = live();
  const id = session.send("x".repeat(1000));
  world.socket.gives({ type: "status", state: "accepted", message_id: id });
  world.socket.closes(1009);
  assert.notEqual(session.view.own.get(id).submit, "failed");
  assert.equal(session.connection.state, "stopped");
});

test("too many: not before the time in the reason", () => {
  const { world, session } = live();
  world.socket.closes(4009, '{"retry_after_ms": 7000}');
  assert.ok(session.connection.retryAtMs >= world.ms + 7000);
});

test("an expired token: connects again when there is a new one, with its cursor", () => {
  const { world, session } = live({ token: "old" });
  world.socket.closes(4001);
  world.pass(100_000);
  assert.equal(world.sockets.length, 1);
  session.setToken("new");
  assert.equal(world.socket.address.search, "?cursor=1.0.9");
  world.socket.opens();
  assert.deepEqual(world.socket.sent, [{ type: "token", token: "new" }]);
});

/** Let promises that are settled go on. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a callback gives the token before the first connection", async () => {
  const { world, session } = following({ token: async () => "first" });
  session.connect();
  assert.equal(session.connection.state, "connecting");
  await settled();
  world.socket.opens();
  assert.deepEqual(world.socket.sent, [{ type: "token", token: "first" }]);
});

/** A token that ends at this moment, as far as a page can read it. */
const endingAt = (ms, name) => `h.${Buffer.from(JSON.stringify({ exp: ms / 1000, name })).toString("base64url")}.s`;

test("a callback is asked before the token ends, and the socket stays open", async () => {
  let given = 0;
  const world = new World();
  const tokens = [endingAt(world.ms + 90_000, 1), endingAt(world.ms + 900_000, 2)];
  const session = new Session({ ...world.options, sessionId: "abc", token: () => tokens[given++] });
  session.connect();
  await settled();
  world.socket.opens();
  world.socket.gives(connected(), snapshot(9));
  for (let beat = 0; beat < 6; beat += 1) {
    world.pass(11_000);
    world.socket.gives({ type: "heartbeat", cursor: "1.0.9" });
    await settled();
  }
  assert.equal(given, 2);
  assert.equal(world.sockets.length, 1);
  assert.deepEqual(world.socket.of("token").at(-1), { type: "token", token: tokens[1] });
});

test("the address names the shard as soon as it is known how many there are", () => {
  const { world, session } = following();
  session.connect();
  assert.equal(world.socket.address.search, "");
  world.socket.opens();
  world.socket.gives({ ...connected(), shards: 8 }, snapshot(9));
  world.socket.closes(1012);
  world.pass(40_000);
  assert.equal(world.socket.address.search, "?cursor=1.0.9&shard=3");
  const other = following({ shards: 8 });
  other.session.connect();
  assert.equal(other.world.socket.address.search, "?shard=3");
});

test("a token that was refused is asked for anew, and one that is never taken is not without end", async () => {
  let asked = 0;
  const { world, session } = following({ token: () => `t${(asked += 1)}` });
  session.connect();
  await settled();
  world.socket.opens();
  world.socket.gives(connected(), snapshot(9));
  world.socket.closes(4001);
  await settled();
  assert.equal(world.socket.address.search, "?cursor=1.0.9");
  world.socket.opens();
  assert.deepEqual(world.socket.sent, [{ type: "token", token: "t2" }]);
  world.socket.closes(4001);
  await settled();
  assert.deepEqual([session.connection.state, session.connection.code, asked], ["stopped", 4001, 2]);
  session.connect();
  await settled();
  assert.equal(asked, 3);
});

test("a callback that has no token leaves the session stopped, to sign in again", async () => {
  const { session } = following({
    token: async () => {
      throw new Error("not signed in");
    },
  });
  session.connect();
  await settled();
  await settled();
  assert.deepEqual([session.connection.state, session.connection.code], ["stopped", 4001]);
});

test("what a callback gives after the session was left is too late", async () => {
  const { world, session } = following({ token: async () => "late" });
  session.connect();
  session.close();
  await settled();
  assert.equal(world.sockets.length, 0);
  assert.equal(session.connection.state, "idle");
});

test("a gateway that needs no token says so, and that is no news", () => {
  const { world, session } = live({ token: "t" });
  const told = [];
  session.onNotice = (notice) => told.push(notice);
  world.socket.gives({ type: "error", code: "unsupported", message: "no authentication", retryable: false });
  assert.deepEqual(told, []);
});

test("a token for the open socket goes as a frame", () => {
  const { world, session } = live();
  session.setToken("next");
  assert.deepEqual(world.socket.sent, [{ type: "token", token: "next" }]);
});

test("an idle socket sleeps until something is to be sent", () => {
  const { world, session } = live();
  world.socket.closes(4010);
  world.pass(100_000);
  assert.equal(world.sockets.length, 1);
  session.send("hi");
  assert.equal(world.sockets.length, 2);
  world.socket.opens();
  world.socket.gives(connected(true));
  assert.equal(world.socket.of("user_message").length, 1);
});

test("silence of a heartbeat is asked about, silence of two is a close", () => {
  const { world, session } = live();
  world.pass(15_000);
  assert.deepEqual(world.socket.of("ping").length, 1);
  world.pass(14_000);
  assert.equal(session.connection.state, "live");
  world.pass(1_000);
  assert.equal(session.connection.state, "waiting");
  assert.equal(world.sockets[0].readyState, 3);
});

test("while an answer runs, five seconds of silence are asked about, and two more are a close", () => {
  const { world, session } = live();
  world.socket.gives(generating(10, "x"), chunk(11, "x", 1, "Hel"));
  world.pass(4_999);
  assert.equal(world.socket.of("ping").length, 0);
  world.pass(1);
  assert.equal(world.socket.of("ping").length, 1);
  world.pass(1_999);
  assert.equal(session.connection.state, "live");
  world.pass(1);
  assert.equal(session.connection.state, "waiting");
  assert.equal(world.sockets[0].readyState, 3);
  world.pass(500);
  assert.equal(world.socket.address.search, "?cursor=1.0.11");
  world.sockets[0].gives(chunk(12, "x", 2, "lo"));
  assert.equal(session.view.messages.get("x").text, "Hel"); // what the old one still says is not heard
});

test("a gateway that is only busy answers, and keeps its sockets while a worker is replaced", () => {
  const { world, session } = live();
  world.socket.gives(generating(10, "x"));
  for (let round = 0; round < 6; round += 1) {
    world.pass(6_000);
    world.socket.gives({ type: "pong", nonce: "watch" });
  }
  assert.equal(session.connection.state, "live");
  assert.equal(world.sockets.length, 1);
  assert.equal(world.socket.of("ping").length, 6);
});

test("an own message of which nothing is said is news that is expected", () => {
  const { world, session } = live();
  world.pass(9_000);
  session.send("hi");
  world.pass(1_000); // the next look, at most five seconds away
  assert.equal(world.socket.of("ping").length, 1);
  world.pass(2_000);
  assert.equal(session.connection.state, "waiting");
});

test("an answer that has ended leaves the heartbeat's patience", () => {
  const { world, session } = live();
  world.socket.gives(generating(10, "x"), chunk(11, "x", 1, "Hi"), complete(12, "x", 1));
  world.pass(14_000);
  assert.equal(world.socket.of("ping").length, 0);
  assert.equal(session.connection.state, "live");
});

test("gateways that say nothing one after another are left more and more slowly", () => {
  const { world, session } = live();
  world.chance = 0.999999;
  world.socket.gives(generating(10, "x"));
  const delays = [];
  for (let round = 0; round < 4; round += 1) {
    world.pass(7_000);
    delays.push(session.connection.retryAtMs - world.ms);
    world.pass(delays.at(-1));
    world.socket.opens();
    world.socket.gives(connected(true));
  }
  assert.deepEqual(delays, [500, 1000, 2000, 4000]);
});

test("while news is expected a socket that does not open is given up in three seconds, three times", () => {
  const { world, session } = live();
  world.chance = 0;
  world.socket.gives(generating(10, "x"));
  world.socket.closes(1006);
  for (const limitMs of [3_000, 3_000, 10_000]) {
    world.pass(0);
    const tried = world.sockets.length;
    world.pass(limitMs - 1);
    assert.equal(world.sockets.length, tried);
    assert.equal(session.connection.state, "connecting");
    world.pass(1);
    assert.equal(world.sockets.length, tried + 1);
  }
});

test("heartbeats keep it alive", () => {
  const { world, session } = live();
  for (let index = 0; index < 10; index += 1) {
    world.pass(14_900);
    world.socket.gives({ type: "heartbeat", cursor: `1.0.${20 + index}` });
  }
  assert.equal(session.connection.state, "live");
  assert.equal(world.socket.of("ping").length, 0);
  assert.equal(session.view.cursor, "1.0.29");
});

test("a socket that does not open in ten seconds is given up", () => {
  const { world, session } = following();
  session.connect();
  world.pass(10_000);
  assert.equal(session.connection.state, "waiting");
});

test("waking connects at once instead of waiting", () => {
  const { world, session } = live();
  world.socket.closes(1006);
  session.wake();
  assert.equal(world.sockets.length, 2);
});

test("waking asks a socket that looks alive, and gives it up after five seconds without an answer", () => {
  const { world, session } = live();
  session.wake();
  assert.equal(world.socket.of("ping").length, 1);
  world.pass(5_000);
  assert.equal(session.connection.state, "waiting");
});

test("waking keeps a socket that answers", () => {
  const { world, session } = live();
  session.wake();
  world.pass(100);
  world.socket.gives({ type: "pong", nonce: "wake" });
  world.pass(6_000);
  assert.equal(session.connection.state, "live");
});

test("a draining gateway is left when it says, with the cursor", () => {
  const { world } = live();
  world.socket.gives({ type: "status", state: "reconnect", after_ms: 700 });
  world.pass(699);
  assert.equal(world.sockets.length, 1);
  world.pass(1);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.socket.address.search, "?cursor=1.0.9");
});

test("a stop is asked again after a reconnect, until the answer has ended", () => {
  const { world, session } = live();
  world.socket.gives(generating(10, "x"));
  session.cancel("x");
  assert.deepEqual(world.socket.sent, [{ type: "cancel", message_id: "x" }]);
  world.socket.closes(1006);
  world.pass(500);
  world.socket.opens();
  world.socket.gives(connected(true));
  assert.deepEqual(world.socket.of("cancel").length, 1);
  world.socket.gives(complete(11, "x", 0));
  assert.equal(session.isStopping("x"), false);
});

test("a message and its stop, both typed offline, are sent in that order", () => {
  const { world, session } = following();
  session.connect();
  session.cancel(session.send("never mind"));
  world.socket.opens();
  world.socket.gives(connected(), snapshot(9));
  assert.deepEqual(world.socket.sent.map((frame) => frame.type), ["user_message", "cancel"]);
});

test("a gateway that can't stop says so, and the message goes on", () => {
  const { world, session } = live();
  const notices = [];
  session.onNotice = (notice) => notices.push(notice);
  world.socket.gives(generating(10, "x"));
  session.cancel("x");
  world.socket.gives({ type: "error", code: "unsupported", message: "cancel is not built yet", retryable: false, message_id: "x" });
  assert.equal(session.isStopping("x"), false);
  assert.deepEqual(notices.map(({ code }) => code), ["unsupported"]);
  assert.equal(session.view.messages.get("x").state, "generating");
});

test("a larger history is asked for without a cursor", () => {
  const { world, session } = live({ history: 10 });
  session.reload({ history: 100 });
  assert.equal(world.socket.address.search, "?history=100");
});

const finished = (id) => [
  { role: "user", message_id: id, content: `prompt of ${id}`, created_at: "", state: "complete" },
  { role: "assistant", message_id: id, content: `answer of ${id}`, state: "complete", attempt: "a", fence: [1, 1, 0], starts: 1, unended_starts: 0, last_sequence: 1, released: false, damaged: false },
];

test("earlier messages come page by page and stand before the rest", () => {
  const { world, session } = live();
  session.connect();
  world.socket.opens();
  world.socket.gives(connected(), { ...snapshot(9, finished("m5"), ["m3", "m4"]), more: true });
  assert.equal(session.view.more, true);
  assert.equal(session.earlier({ limit: 2 }), true);
  assert.deepEqual(world.socket.of("history"), [{ type: "history", limit: 2, before: "m5" }]);
  world.socket.gives({ type: "history", before: "m5", messages: [...finished("m3"), ...finished("m4"), ...finished("m5")], more: true });
  assert.deepEqual([...session.view.messages.keys()], ["m3", "m4", "m5"]);
  assert.equal(session.view.messages.get("m3").text, "answer of m3");
  assert.deepEqual([session.view.ended.size, session.view.cursor], [0, "1.0.9"]);
  session.earlier();
  assert.deepEqual(world.socket.of("history")[1], { type: "history", limit: 20, before: "m3" });
  world.socket.gives({ type: "history", before: "m3", messages: finished("m1"), more: false });
  assert.deepEqual([...session.view.messages.keys()], ["m1", "m3", "m4", "m5"]);
  assert.equal(session.view.more, false);
});

test("where the oldest message has left the tables, the newest page is given, and nothing is asked for again", () => {
  const { world, session } = live();
  session.connect();
  world.socket.opens();
  world.socket.gives(connected(), { ...snapshot(9, [...finished("m4"), ...finished("m5")]), more: true });
  session.earlier();
  world.socket.gives({ type: "history", before: "m4", messages: finished("m5"), more: true });
  assert.deepEqual([...session.view.messages.keys()], ["m4", "m5"]);
  assert.equal(session.view.more, false);
});

test("a page of history that was asked before the socket broke changes nothing", () => {
  const { world, session } = following();
  session.connect();
  world.socket.opens();
  world.socket.gives(connected(), { type: "history", before: null, messages: finished("m1"), more: true });
  assert.equal(session.view.messages.size, 0);
  assert.equal(session.earlier(), false);
});

test("what is no frame is ignored", () => {
  const { world, session } = live();
  world.socket.gives("not json", "[1]", "null", '"x"', { type: "confetti" });
  assert.equal(session.connection.state, "live");
});

test("a closed session stays closed, and its timers are gone", () => {
  const { world, session } = live();
  session.close();
  world.pass(100_000);
  assert.equal(world.sockets.length, 1);
  assert.deepEqual(world.timers, []);
});

test("a gateway behind a proxy may be in a folder of its own", () => {
  const { world, session } = following({ url: "wss://example.test/chat/" });
  session.connect();
  assert.equal(`${world.socket.address}`, "wss://example.test/chat/ws/chat/abc/");
});

test("silence counts from the last sign of a message, and not while this client itself was away", () => {
  const { world, session } = live();
  world.socket.gives(generating(10, "m1", "a1"));
  assert.equal(session.silentMs("m1"), 0);
  world.pass(3_000);
  assert.equal(session.silentMs("m1"), 3_000);
  world.socket.gives({ type: "status", state: "alive", message_id: "m1", attempt: "a1", cursor: "1.0.11" });
  world.pass(1_000);
  assert.equal(session.silentMs("m1"), 1_000);
  world.socket.closes(1006);
  world.pass(2_000);
  assert.equal(session.silentMs("m1"), 0);
});

test("a message that came too soon: it, and others, are not sent again before the time", () => {
  const { world, session } = live();
  const id = session.send("one");
  world.socket.gives({ type: "error", code: "rate_limited", message: "slow", retryable: true, message_id: id, retry_after_ms: 4_000, limit: "messages_per_minute" });
  session.retry(id);
  const other = session.send("two");
  assert.equal(session.view.own.get(id).submit, "sending");
  world.pass(3_999);
  assert.equal(world.socket.of("user_message").length, 1);
  world.pass(1_001); // a quarter on top, by chance
  assert.deepEqual(world.socket.of("user_message").map(({ message_id }) => message_id), [id, id, other]);
});

test("what has no room today is not kept until tomorrow: it is asked, and told again", () => {
  const { world, session } = live();
  const id = session.send("one");
  world.socket.gives({ type: "error", code: "rate_limited", message: "slow", retryable: true, message_id: id, retry_after_ms: 7_200_000, limit: "user_tokens_per_day" });
  session.retry(id);
  assert.equal(world.socket.of("user_message").length, 2);
});

test("a page of history that came too soon holds no message back", () => {
  const { world, session } = live();
  world.socket.gives({ type: "error", code: "rate_limited", message: "slow", retryable: true, retry_after_ms: 4_000, limit: "address_reads_per_minute" });
  session.send("one");
  assert.equal(world.socket.of("user_message").length, 1);
});

test("how long a message waits is known until the next join, and changes nothing else", () => {
  const { world, session } = live();
  const id = session.send("one");
  const before = session.view;
  world.socket.gives({ type: "status", state: "queued", message_id: id, position: 3, eta_ms: 4_000 });
  assert.deepEqual({ ...session.view, waits: null }, { ...before, waits: null });
  assert.deepEqual(session.view.waits.get(id), { position: 3, eta_ms: 4_000 });
  world.socket.gives({ type: "status", state: "queued" }, { type: "status", state: "queued", message_id: 7, eta_ms: "x" });
  assert.equal(session.view.waits.size, 1);
  world.socket.gives(connected(false));
  assert.equal(session.view.waits.size, 0);
});
