/**
 * Colours for code and the look of formulas: fetched when the first of them is to be seen, done when there is time.
 *
 * One element at a time, in the pauses between frames, so that nobody waits for it; code that is long, in pieces
 * (long_code.js). What somebody has selected is left as it is until they let go. If a file can't be had, code stays
 * plain and a formula its source.
 */

import { grown } from "./prose.js";

const SHORT_CHARS = 8_000; // colouring longer code takes longer than a frame may
const CODE_MAX_CHARS = 400_000; // longer code stays plain: a page of that many coloured words is slow for good
const PAUSE_LIMIT_MS = 1_000;
const ENOUGH_MS = 4;
const BUSY_MAX_MS = 16; // a pause may be longer, but a key that is pressed in it is not to wait
const KINDS = [
  { selector: ".math, .math-block", load: () => import("./typesetting.js").then(({ typeset }) => typeset) },
  { selector: "pre > code[class^='language-']", load: () => import("./highlighting.js").then(({ highlight }) => highlight) },
  { selector: "pre > code[class^='language-']", load: () => import("./long_code.js").then(({ highlightLong }) => highlightLong) },
];
const [FORMULA, CODE, LONG_CODE] = KINDS;

const waiting = new Map(); // element -> its kind, in order
const pause = window.requestIdleCallback?.bind(window) ?? ((work) => setTimeout(() => work({ timeRemaining: () => ENOUGH_MS, didTimeout: true }), 50));
let working = false;
let moment = null; // the last pause, and when it began
let momentMs = 0;

/** Adorn what lies in these nodes; `code`: it is finished. */
export function adorn(nodes, { code }) {
  for (const node of nodes) {
    if (node.nodeType !== Node.ELEMENT_NODE) continue;
    collect(node, FORMULA);
    if (code) collect(node, CODE);
  }
  if (waiting.size > 0) work();
}

function collect(node, kind) {
  const found = [...node.querySelectorAll(kind.selector)];
  if (node.matches(kind.selector)) found.push(node);
  for (const one of found) {
    const { length } = one.textContent;
    if (one.madeOf === undefined && length <= CODE_MAX_CHARS) waiting.set(one, kind === CODE && length > SHORT_CHARS ? LONG_CODE : kind);
  }
}

/** Wait, a second at most, until a pause between frames has room for a small piece of work. */
export async function quiet() {
  while (leftMs() < ENOUGH_MS) {
    moment = await new Promise((resolve) => pause(resolve, { timeout: PAUSE_LIMIT_MS }));
    momentMs = performance.now();
    if (moment.didTimeout) return;
  }
}

function leftMs() {
  return moment === null ? 0 : Math.min(moment.timeRemaining(), momentMs + BUSY_MAX_MS - performance.now());
}

async function work() {
  if (working) return;
  working = true;
  try {
    for (let next = nextToDo(); next; next = nextToDo()) {
      const [element, kind] = next;
      kind.ready ??= kind.load();
      const adorned = await kind.ready;
      await quiet();
      waiting.delete(element);
      if (isSelected(element)) later(element, kind);
      else if (element.isConnected && element.madeOf === undefined) adorned(element);
      if (kind === FORMULA) grown(element); // it may have become higher: whoever follows the end of the text is told
    }
  } catch (error) {
    // A file that can't be had now may be had for the next answer.
    for (const kind of KINDS) delete kind.ready;
    waiting.clear();
    console.warn("not adorned", error);
  } finally {
    working = false;
  }
}

function nextToDo() {
  return waiting.entries().next().value;
}

/** Whether some of it is what somebody has selected. */
export function isSelected(element) {
  const selection = document.getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(element, true);
}

function later(element, kind) {
  const look = () => {
    if (isSelected(element)) return;
    document.removeEventListener("selectionchange", look);
    if (!element.isConnected) return;
    waiting.set(element, kind);
    work();
  };
  document.addEventListener("selectionchange", look);
}
