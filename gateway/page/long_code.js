/**
 * Colours code that is too long for one pause between frames: a worker reads it, and what it tells is put in piece by piece.
 *
 * The code stands in pieces, each a box of its own, so that no more than one is laid out again. One code is read at a
 * time, and for so long; what can't be read stays plain.
 */

import { isSelected, quiet } from "./adorning.js";
import { element } from "./element.js";
import { cutUp } from "./growing_code.js";
import { keepSource } from "./morph.js";
import { purifiedCode } from "./walls.js";

const READ_LIMIT_MS = 20_000;
const PIECE_MAX_CHARS = 16_384; // a piece that is one long line stays plain: it would be laid out as a whole

let reading = Promise.resolve();

/** Colour a long `code` element, if its language is known; returns at once. */
export function highlightLong(code) {
  const source = code.textContent;
  const language = /^language-(.+)$/.exec(code.className)[1].toLowerCase();
  keepSource(code, source);
  const pieces = cutUp(code);
  const lengths = pieces.map(({ textContent }) => textContent.length);
  reading = reading.then(() => read({ source, language, lengths })).catch((error) => console.warn("not coloured", error));
  reading.then((coloured) => coloured && put(code, pieces, coloured));
}

/** What the worker says: HTML for each piece, or null. */
function read(asked) {
  const worker = new Worker(new URL("./code_worker.js", import.meta.url), { type: "module" });
  const told = new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = reject;
    setTimeout(() => reject(new Error("reading it took too long")), READ_LIMIT_MS);
  });
  worker.postMessage(asked);
  return told.finally(() => worker.terminate());
}

async function put(code, pieces, coloured) {
  for (const [index, piece] of pieces.entries()) {
    if (piece.textContent.length > PIECE_MAX_CHARS) continue;
    do {
      await untilReleased(piece);
      await quiet();
    } while (isSelected(piece));
    if (!code.isConnected || piece.parentNode !== code) return; // another text stands there by now
    const nodes = purifiedCode(coloured[index]);
    if (nodes.textContent === piece.textContent) piece.replaceWith(element("span", { class: "piece" }, nodes));
  }
}

async function untilReleased(piece) {
  while (isSelected(piece)) await new Promise((resolve) => document.addEventListener("selectionchange", resolve, { once: true }));
}
