/**
 * One turn of the conversation as elements: what the user said, and the answer to it.
 *
 * A turn is drawn from plain data (`turnOf`, pure) and touches only what changed: an answer that streams
 * changes its last block, sixty times a second, and nothing else.
 */

import { element } from "./element.js";
import { icon } from "./icons.js";
import { isTerminal } from "./fold.js";
import { Prose } from "./prose.js";
import { answerError, clock, crowded, ending, inLine, noText, smallPrint, submitError, thought } from "./words.js";

/** Ends after which a person may want the whole answer. */
const UNFINISHED = new Set(["cancelled", "interrupted", "incomplete"]);

/**
 * What is to be seen of a message of the log. `place`: how many unfinished ones stand before it; `silent`: nothing
 * has come of it for so long that its worker is probably being replaced; `wait`: how long it waits for a worker with room.
 */
export function turnOf(message, place, { stopping, silent, wait }) {
  const done = isTerminal(message);
  const streaming = message.state === "generating";
  const waitsInLine = !done && !streaming && place > 0;
  const waits = silent && !done && !waitsInLine;
  const notes = notesOf(message, done, stopping);
  if (waits) notes.push("Still waiting…");
  return {
    id: message.message_id,
    prompt: message.prompt?.content ?? "",
    saidAt: message.prompt?.created_at ?? null,
    promptNote: waitsInLine ? inLine(place) : wait && !done && !streaming ? crowded(wait) : null,
    waits: waitsInLine && !stopping && !message.cancelling,
    reasoning: message.reasoning,
    thought: thought(message, done),
    text: message.text,
    done,
    streaming,
    stale: !done && (waits || message.released),
    typing: !done && !waitsInLine && message.text === "" && message.reasoning === "",
    silent: waitsInLine && message.text === "" && message.reasoning === "" && notes.length === 0,
    unsent: false,
    notes,
    refusal: null,
    again: UNFINISHED.has(message.finish_reason) || noText(message) !== null,
    failure: message.error ? { text: answerError(message.error), retryable: message.error.retryable } : null,
    smallPrint: message.state === "complete" ? smallPrint(message) : "",
  };
}

/** What is to be seen of an own message that the log has not mentioned yet. */
export function ownTurnOf(own, { stopping, silent, wait }) {
  const notes = [];
  if (silent && own.submit === "accepted") notes.push("Still waiting…");
  if (own.submit === "ended") notes.push("This was answered while you were away. Show earlier messages to read it.");
  if (own.submit === "unknown") notes.push("Not confirmed yet, sending again…");
  if (stopping) notes.push("Stopping…");
  return {
    id: own.message_id,
    prompt: own.content,
    saidAt: own.created_at,
    promptNote: own.submit === "sending" ? "Sending…" : wait && own.submit === "accepted" ? crowded(wait) : null,
    waits: false,
    unsent: own.submit === "sending",
    silent: own.submit === "failed" || (own.submit === "sending" && notes.length === 0),
    reasoning: "",
    thought: "",
    text: "",
    done: own.submit === "ended",
    streaming: false,
    stale: false,
    typing: own.submit === "accepted",
    notes,
    again: false,
    failure: null,
    refusal: own.submit === "failed" ? submitError(own.error) : null,
    smallPrint: "",
  };
}

function notesOf(message, done, stopping) {
  const notes = [];
  if (message.released) notes.push("Moving to another worker…");
  if (message.starts > 1 && message.state === "generating") {
    notes.push(message.continues ? "Another worker goes on with the answer." : "The answer was started again.");
  }
  if (!done && (message.cancelling || stopping)) notes.push("Stopping…");
  if (message.damaged) notes.push("A part of this answer was lost on the way.");
  if (done && ending(message.finish_reason)) notes.push(ending(message.finish_reason));
  if (noText(message)) notes.push(noText(message));
  if (done && message.history === "partial") notes.push("Answered without all of the earlier conversation.");
  return notes;
}

/** The elements of one turn. The transcript listens to its buttons (`data-action`). */
export class TurnElement {
  root;

  #shown = {};
  #bubble = element("div", { class: "bubble", dir: "auto" });
  #when = element("time", { class: "when" });
  #promptNote = element("div", { class: "prompt-note" });
  #summary = element("summary");
  #reasoning = element("div", { class: "reasoning", dir: "auto" });
  #thought = element("details", { class: "thought" }, this.#summary, this.#reasoning);
  #prose = new Prose();
  #typing = element("div", { class: "typing", role: "img", "aria-label": "The answer is on its way" }, element("span"), element("span"), element("span"));
  #notes = element("div", { class: "notes" });
  #failure = element("div", { class: "failure" });
  #tools = element("div", { class: "tools" });
  #answer = element("div", { class: "answer" }, this.#thought, this.#prose.root, this.#typing, this.#failure, this.#notes, this.#tools);

  constructor(id) {
    const prompt = element("div", { class: "prompt" }, element("span", { class: "hidden" }, "You: "), this.#bubble, this.#when, this.#promptNote);
    this.root = element("article", { class: "turn", "data-id": id }, prompt, this.#answer);
    this.#thought.addEventListener("toggle", () => this.#drawReasoning());
  }

  /** The text as it was written, for copying. */
  get text() {
    return this.#shown.text ?? "";
  }

  draw(turn) {
    const before = this.#shown;
    this.#shown = turn;
    if (turn.prompt !== before.prompt) this.#bubble.textContent = turn.prompt;
    if (turn.saidAt !== before.saidAt) this.#drawWhen(turn.saidAt);
    this.#drawPromptNote(turn, before);
    this.#drawThought(turn, before);
    this.#drawText(turn, before);
    this.#typing.hidden = !turn.typing;
    this.#drawFailure(turn, before);
    const notes = turn.notes.join("\n");
    if (notes !== before.notes?.join("\n")) this.#notes.replaceChildren(...turn.notes.map((note) => element("p", {}, note)));
    if (turn.done !== before.done || turn.smallPrint !== before.smallPrint) this.#drawTools(turn);
    // A screen reader waits until the answer is whole instead of reading every chunk.
    this.#answer.setAttribute("aria-busy", String(!turn.done));
    this.#answer.hidden = turn.silent;
    this.root.classList.toggle("unsent", turn.unsent);
    this.root.classList.toggle("refused", turn.refusal !== null);
  }

  #drawThought(turn, before) {
    this.#thought.hidden = turn.reasoning === "";
    if (turn.thought !== before.thought) this.#summary.textContent = turn.thought;
    if (turn.reasoning !== before.reasoning) this.#drawReasoning();
  }

  /** Plain text, and only while it is to be seen: it may be long, and nobody has asked for it yet. */
  #drawReasoning() {
    if (!this.#thought.open) return;
    const { reasoning } = this.#shown;
    const shown = this.#reasoning.firstChild;
    if (shown && reasoning.startsWith(shown.data)) shown.appendData(reasoning.slice(shown.data.length));
    else this.#reasoning.textContent = reasoning;
  }

  #drawText(turn, before) {
    const finished = turn.done && !before.done;
    // An attempt begins anew: what stands here is not the answer any more, but gone only when there is another.
    const leftOver = turn.text === "" && !turn.done && !this.#prose.isEmpty;
    if (!leftOver && (turn.text !== (before.text ?? "") || finished)) this.#prose.show(turn.text, turn.done);
    this.#prose.root.classList.toggle("streaming", turn.streaming && turn.text !== "");
    this.#prose.root.classList.toggle("stale", turn.stale || leftOver);
    this.#prose.root.hidden = this.#prose.isEmpty;
  }

  #drawWhen(saidAt) {
    const told = clock(saidAt, new Date());
    this.#when.hidden = told === null;
    this.#when.textContent = told?.short ?? "";
    this.#when.title = told?.long ?? "";
    if (told) this.#when.dateTime = saidAt;
  }

  #drawPromptNote({ promptNote, refusal, waits }, before) {
    const said = refusal ?? promptNote ?? "";
    if (said === (before.refusal ?? before.promptNote ?? "") && waits === before.waits) return;
    this.#promptNote.replaceChildren(said);
    if (refusal) this.#promptNote.append(button("again", "Try again"), button("dismiss", "Remove"));
    if (waits) this.#promptNote.append(button("take-back", "Take back"));
  }

  #drawFailure({ failure }, before) {
    this.#failure.hidden = !failure;
    if (!failure || failure.text === before.failure?.text) return;
    this.#failure.replaceChildren(element("span", {}, failure.text));
    if (failure.retryable) this.#failure.append(button("ask-again", "Try again", "retry"));
  }

  #drawTools({ done, text, again, smallPrint: print }) {
    this.#tools.hidden = !done || (text === "" && print === "" && !again);
    this.#tools.replaceChildren();
    if (!done) return;
    if (text !== "") this.#tools.append(iconButton("copy", "copy", "Copy the answer", "Copy"));
    if (again) this.#tools.append(iconButton("ask-again", "retry", "Ask again", "Ask again"));
    if (print) this.#tools.append(element("span", { class: "small-print" }, print));
  }
}

function iconButton(action, iconName, label, title) {
  return element("button", { type: "button", class: "icon-button small", "data-action": action, "aria-label": label, title }, icon(iconName));
}

function button(action, label, iconName = null) {
  return element("button", { type: "button", class: "text-button", "data-action": action }, iconName ? icon(iconName) : null, label);
}
