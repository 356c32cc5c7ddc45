/** The chat page: puts session, transcript, message box and list of chats together. */

import { Composer } from "./composer.js";
import { ConnectionView, write } from "./connection_view.js";
import { Drafts } from "./drafts.js";
import { element } from "./element.js";
import { drawIcons } from "./icons.js";
import { isTerminal, Session, TooManyWaiting, unsettled } from "./session.js";
import { hashOf, newSessionId, SessionList, sessionOf, titleOf, touched, without } from "./sessions.js";
import { Outbox } from "./outbox.js";
import { fetchMarkdown } from "./prose.js";
import { Sidebar } from "./sidebar.js";
import { StickToEnd } from "./scroll.js";
import { ThemeButton } from "./theme_button.js";
import { Toast } from "./toast.js";
import { may, sessionIdFor, tokenIn, TokenKeeper } from "./token.js";
import { Transcript } from "./transcript.js";
import { notice } from "./words.js";

const HISTORY = 100;
const SLOW_DRAW_MS = 8;
const HELD_MAX_MS = 1_000;
const LOOK_EVERY_MS = 1_000;
const SILENT_MS = 4_000; // something comes of an answer that runs every 1.5 s, if only a sign of life
const EXAMPLES = [
  ["Explain a log to a child", "Explain to a ten-year-old what a log is, and why it helps not to lose anything."],
  ["Write a little code", "Write a Python function that reverses a linked list, and explain it step by step."],
  ["Plan a weekend", "Plan a quiet weekend in a city by the sea, as a table with morning, afternoon and evening."],
  ["Say it in a poem", "Write a short poem about a message on its way through the night."],
];

const byId = (id) => document.getElementById(id);
const storage = storageOrNull("localStorage");
const outbox = new Outbox(storageOrNull("sessionStorage"));
const drafts = new Drafts(storageOrNull("sessionStorage"));
const chats = new SessionList(storage);
const keeper = new TokenKeeper(storageOrNull("sessionStorage"));
const toast = new Toast(byId("toast"), byId("toast-text"), byId("toast-action"));
const transcript = new Transcript(byId("transcript"), {
  again: (id) => andType(() => session.retry(id)),
  dismiss: (id) => andType(() => session.dismiss(id)),
  askAgain: (id) => andType(() => say(session.view.messages.get(id).prompt.content)),
  takeBack: (id) => andType(() => session.cancel(id)),
});
const connectionView = new ConnectionView(
  { badge: byId("badge"), badgeText: byId("badge-text"), banner: byId("banner"), bannerText: byId("banner-text"), action: byId("banner-action") },
  () => session,
  newChat,
);
const stick = new StickToEnd(byId("scroller"), byId("jump"));
const composer = new Composer(
  { form: byId("composer"), input: byId("message"), send: byId("send"), stop: byId("stop"), hint: byId("hint-text") },
  { onSend: say, onStop: stop, onText: (text) => drafts.keep(session.sessionId, text) },
);
const sidebar = new Sidebar(
  { sidebar: byId("sidebar"), backdrop: byId("backdrop"), show: byId("show-sidebar"), hide: byId("hide-sidebar"), list: byId("chats"), empty: byId("no-chats"), newChat: byId("new-chat") },
  { onRemove: removeChat },
);
let session = null;
let drawing = false;
let held = false; // what is there is not drawn yet: what reads Markdown is on its way
let forgotten = null; // what the view says of it, as it was drawn last
let listed = false; // this chat has had its place in the list; if it is gone, someone removed it

start();

function start() {
  drawIcons(document);
  new ThemeButton(byId("theme"), storage);
  byId("examples").append(...EXAMPLES.map(([title, prompt]) => element("button", { type: "button", onclick: () => andType(() => say(prompt)) }, element("strong", {}, title), element("span", {}, prompt))));
  byId("new-chat").addEventListener("click", newChat);
  byId("earlier").addEventListener("click", showEarlier);
  document.addEventListener("keydown", pressed);
  document.addEventListener("click", skip);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && session.wake());
  byId("transcript").addEventListener("grown", () => stick.follow());
  setInterval(() => stoppable() !== null && draw(), LOOK_EVERY_MS); // silence brings no frame
  window.addEventListener("online", () => {
    session.wake();
    draw();
  });
  window.addEventListener("offline", draw);
  window.addEventListener("hashchange", follow);
  window.addEventListener("storage", drawChats);
  follow();
}

/** Follow the session that the address names; a new one if it names none. */
function follow() {
  takeToken();
  let id = sessionOf(window.location.hash);
  if (id === null) {
    id = sessionIdFor(keeper.token, newSessionId);
    window.history.replaceState(null, "", hashOf(id));
  } else holdForMarkdown();
  if (session?.sessionId === id) return;
  session?.close();
  transcript.clear();
  connectionView.reset();
  listed = chats.entries.some((entry) => entry.id === id);
  forgotten = null;
  // The page's own folder: behind a proxy that may be a part of another site.
  const url = new URL(".", window.location.href).href.replace(/^http/, "ws");
  const shards = Number(document.querySelector("meta[name=talklog-shards]")?.content ?? 0);
  session = new Session({ url, sessionId: id, history: HISTORY, token: keeper.token, shards });
  outbox.restore(session, Date.now());
  composer.value = drafts.of(id);
  session.onChange = changed;
  session.onNotice = (told) => toast.say(notice(told));
  session.connect();
  sidebar.closeIfNarrow();
  stick.hold();
  drawNow();
  drawChats();
  focusComposer();
}

/** A chat that has answers is drawn once, as it is to be read, if that takes no longer than a moment. */
async function holdForMarkdown() {
  held = true;
  await Promise.race([fetchMarkdown(), new Promise((resolve) => setTimeout(resolve, HELD_MAX_MS))]);
  held = false;
  draw();
}

/** Take the token that the address brings, out of the address: it is copied, and kept in the browser's history. */
function takeToken() {
  const { token, hash } = tokenIn(window.location.hash);
  if (token === null) return;
  keeper.token = token;
  const here = session === null ? window.location.pathname : hashOf(session.sessionId);
  window.history.replaceState(null, "", hash || here);
  session?.setToken(token);
  if (session !== null) draw();
}

/** At once: `hashchange` comes a moment later, and what was typed before it would belong to the chat that is left. */
function newChat() {
  window.history.pushState(null, "", hashOf(sessionIdFor(keeper.token, newSessionId)));
  follow();
  composer.focus();
}

/** Submit; whether it was taken. */
function say(content) {
  try {
    session.send(content);
  } catch (error) {
    if (!(error instanceof TooManyWaiting)) throw error;
    toast.say("Many messages wait already. Send more when the connection is back.");
    return false;
  }
  fetchMarkdown(); // it is here before the answer is
  listChat(content);
  stick.hold();
  return true;
}

/** Do what a button says that then goes away: the keyboard goes on at the message box. */
function andType(act) {
  act();
  focusComposer();
}

/** On a phone the keyboard would jump up over the conversation. */
function focusComposer() {
  if (window.matchMedia("(hover: hover)").matches) composer.focus();
}

/** Stop what runs, else the first that waits. */
function stop() {
  const id = stoppable();
  if (id !== null) session.cancel(id);
}

function stoppable() {
  const open = [...session.view.messages.values()].filter((message) => !isTerminal(message));
  const first = open.find(({ state }) => state === "generating") ?? open[0] ?? unsettled(session.view)[0];
  return first && !session.isStopping(first.message_id) ? first.message_id : null;
}

function showEarlier() {
  session.earlier({ limit: HISTORY });
}

function pressed(event) {
  if (event.key !== "Escape" || event.isComposing) return;
  if (sidebar.covers) sidebar.close({ focus: true });
  else stop();
}

/** The skip links: the address names the session, so the way there goes without it. */
function skip(event) {
  const link = event.target.closest?.("[data-skip]");
  if (!link) return;
  event.preventDefault();
  byId(link.dataset.skip).focus();
}

function changed() {
  if (session.view.forgotten !== forgotten) noteForgotten();
  outbox.save(session);
  draw();
}

/** Draw in the next frame. One that costs much is followed by a pause, so that the page stays at hand. */
function draw() {
  if (drawing) return;
  drawing = true;
  window.requestAnimationFrame(() => {
    const costMs = drawNow();
    if (costMs < SLOW_DRAW_MS) {
      drawing = false;
      return;
    }
    setTimeout(() => {
      drawing = false;
      draw();
    }, 3 * costMs);
  });
}

function drawNow() {
  const beganMs = performance.now();
  const { view } = session;
  if (!held) {
    transcript.draw(view, (id) => ({ stopping: session.isStopping(id), silent: session.silentMs(id) > SILENT_MS, wait: view.waits.get(id) }));
    if (view.joined) transcript.announce();
  }
  const empty = !held && transcript.size === 0 && (view.joined || view.historyMissing);
  byId("erased").hidden = !empty || view.forgotten === null;
  byId("welcome").hidden = !empty || view.forgotten !== null;
  byId("earlier").hidden = !view.more || !view.joined;
  composer.running = stoppable() !== null && may(keeper.token, "cancel");
  byId("examples").hidden = composer.readOnly = !may(keeper.token, "say");
  connectionView.draw(session);
  // A chat opened by its address is named by the first thing said in it.
  const first = view.messages.values().next().value?.prompt?.content;
  if (!listed && first) listChat(first);
  stick.follow();
  return performance.now() - beganMs;
}

/** The conversation was erased: its name, which is what was said first in it, goes from this device too. */
function noteForgotten() {
  const { view, sessionId } = session;
  if (view.forgotten === null) return; // until the snapshot comes: it says it anew
  forgotten = view.forgotten;
  if (view.messages.size > 0) return; // erased long ago, and talked in since
  chats.entries = without(chats.entries, sessionId);
  listed = false;
  drawChats();
}

function listChat(content) {
  listed = true;
  chats.entries = touched(chats.entries, session.sessionId, titleOf(content), Date.now());
  drawChats();
}

function removeChat(id) {
  const before = chats.entries;
  chats.entries = without(before, id);
  drawChats();
  toast.say("Removed from this device’s list.", "Undo", () => {
    chats.entries = before;
    drawChats();
  });
}

function drawChats() {
  const { entries } = chats;
  sidebar.draw(entries, session.sessionId);
  const title = entries.find(({ id }) => id === session.sessionId)?.title ?? "";
  write(byId("title"), title || "New chat");
  document.title = title ? `${title} · talklog` : "talklog";
}

function storageOrNull(kind) {
  try {
    return window[kind];
  } catch {
    return null; // switched off: everything but the list and the theme works
  }
}
