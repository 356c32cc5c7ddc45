/** The chat page: puts session, transcript, message box and list of chats together. */

import { Composer } from "./composer.js";
import { element } from "./element.js";
import { drawIcons, icon } from "./icons.js";
import { isTerminal, Session, TooManyWaiting } from "./session.js";
import { hashOf, newSessionId, SessionList, sessionOf, titleOf, touched, without } from "./sessions.js";
import { Sidebar } from "./sidebar.js";
import { StickToEnd } from "./scroll.js";
import { ThemeButton } from "./theme_button.js";
import { Toast } from "./toast.js";
import { Transcript } from "./transcript.js";
import { badge, notice, trouble } from "./words.js";

const HISTORY = 100;
const EXAMPLES = [
  ["Explain a log to a child", "Explain to a ten-year-old what a log is, and why it helps not to lose anything."],
  ["Write a little code", "Write a Python function that reverses a linked list, and explain it step by step."],
  ["Plan a weekend", "Plan a quiet weekend in a city by the sea, as a table with morning, afternoon and evening."],
  ["Say it in a poem", "Write a short poem about a message on its way through the night."],
];
const SLOW_DRAW_MS = 8;

const byId = (id) => document.getElementById(id);
const storage = storageOrNull();
const chats = new SessionList(storage);
const toast = new Toast(byId("toast"), byId("toast-text"), byId("toast-action"));
const transcript = new Transcript(byId("transcript"), {
  again: (id) => session.retry(id),
  dismiss: (id) => session.dismiss(id),
  askAgain: (id) => say(session.view.messages.get(id).prompt.content),
});
const stick = new StickToEnd(byId("scroller"), byId("jump"));
const composer = new Composer(
  { form: byId("composer"), input: byId("message"), send: byId("send"), stop: byId("stop"), hint: byId("hint-text") },
  { onSend: say, onStop: stop },
);
const sidebar = new Sidebar(
  { sidebar: byId("sidebar"), backdrop: byId("backdrop"), show: byId("show-sidebar"), hide: byId("hide-sidebar"), list: byId("chats"), empty: byId("no-chats") },
  { onRemove: removeChat },
);
let session = null;
let drawing = false;
let history = HISTORY;
let wasSeparated = false; // the connection was lost and is not back: only then is the banner worth its space

start();

function start() {
  drawIcons(document);
  new ThemeButton(byId("theme"), storage);
  byId("examples").append(...EXAMPLES.map(([title, prompt]) => element("button", { type: "button", onclick: () => say(prompt) }, element("strong", {}, title), element("span", {}, prompt))));
  byId("new-chat").addEventListener("click", newChat);
  byId("banner-action").addEventListener("click", () => session.connect());
  byId("earlier").addEventListener("click", showEarlier);
  document.addEventListener("keydown", pressed);
  document.addEventListener("click", skip);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && session.wake());
  window.addEventListener("online", () => session.wake());
  window.addEventListener("offline", draw);
  window.addEventListener("hashchange", follow);
  window.addEventListener("storage", drawChats);
  setInterval(drawConnection, 1_000); // the seconds until the next try
  follow();
}

/** Follow the session that the address names; a new one if it names none. */
function follow() {
  const id = sessionOf(window.location.hash);
  if (id === null) {
    window.history.replaceState(null, "", hashOf(newSessionId()));
    follow();
    return;
  }
  if (session?.sessionId === id) return;
  session?.close();
  transcript.clear();
  history = HISTORY;
  wasSeparated = false;
  const scheme = window.location.protocol === "https:" ? "wss:" : "ws:";
  session = new Session({ url: `${scheme}//${window.location.host}`, sessionId: id, history });
  session.onChange = draw;
  session.onNotice = (told) => toast.say(notice(told));
  session.connect();
  sidebar.closeIfNarrow();
  stick.hold();
  drawNow();
  drawChats();
  composer.focus();
}

function newChat() {
  window.location.hash = hashOf(newSessionId());
  sidebar.closeIfNarrow();
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
  chats.entries = touched(chats.entries, session.sessionId, titleOf(content), Date.now());
  drawChats();
  stick.hold();
  return true;
}

/** Stop what runs, else the first that waits. */
function stop() {
  const id = stoppable();
  if (id !== null) session.cancel(id);
}

function stoppable() {
  const { messages, own } = session.view;
  const open = [...messages.values()].filter((message) => !isTerminal(message));
  const running = open.find(({ state }) => state === "generating") ?? open[0];
  const waiting = [...own.values()].find(({ submit }) => submit === "sending" || submit === "accepted" || submit === "unknown");
  const id = (running ?? waiting)?.message_id ?? null;
  return id !== null && session.isStopping(id) ? null : id;
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

function showEarlier() {
  history *= 4;
  session.reload({ history });
}

function pressed(event) {
  if (event.key !== "Escape" || event.isComposing) return;
  if (sidebar.covers) sidebar.close({ focus: true });
  else stop();
}

/** The skip links: the address belongs to the session, so the way there goes without it. */
function skip(event) {
  const link = event.target.closest?.("[data-skip]");
  if (!link) return;
  event.preventDefault();
  byId(link.dataset.skip).focus();
}

/** Draw in the next frame. A frame that costs much is followed by a pause, so that the page stays at hand. */
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
  transcript.draw(session.view, (id) => session.isStopping(id));
  byId("welcome").hidden = transcript.size > 0 || !(session.view.joined || session.view.historyMissing);
  byId("earlier").hidden = session.view.ended.size === 0 || !session.view.joined;
  composer.running = stoppable() !== null;
  drawConnection();
  nameChat();
  stick.follow();
  return performance.now() - beganMs;
}

function drawConnection() {
  const { connection, view } = session;
  if (connection.state === "live") wasSeparated = false;
  if (connection.state === "waiting") wasSeparated = true;
  byId("badge").dataset.state = connection.state;
  say_(byId("badge-text"), badge(connection));
  const told = trouble(connection, Date.now(), navigator.onLine) ?? separated(connection, view);
  const banner = byId("banner");
  banner.hidden = told === null;
  if (told === null) return;
  say_(byId("banner-text"), told.text);
  byId("banner-action").hidden = !told.action;
  say_(byId("banner-action"), told.action ?? "");
}

function separated({ state }, view) {
  if (view.historyMissing && !view.joined) return { text: "Earlier messages can’t be loaded right now. They will appear by themselves.", action: null };
  return wasSeparated && state !== "live" ? { text: "Reconnecting…", action: null } : null;
}

/** A chat opened by its address is named by the first thing said in it. */
function nameChat() {
  const first = session.view.messages.values().next().value?.prompt?.content;
  const known = chats.entries.find(({ id }) => id === session.sessionId);
  if (first && !known?.title && session.view.joined && byId("title").dataset.for !== session.sessionId) {
    chats.entries = touched(chats.entries, session.sessionId, titleOf(first), Date.now());
    drawChats();
  }
}

function drawChats() {
  const { entries } = chats;
  sidebar.draw(entries, session.sessionId);
  const title = entries.find(({ id }) => id === session.sessionId)?.title ?? "";
  say_(byId("title"), title || "New chat");
  document.title = title ? `${title} · talklog` : "talklog";
}

function say_(place, words) {
  if (place.textContent !== words) place.textContent = words;
}

function storageOrNull() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

export { icon };
