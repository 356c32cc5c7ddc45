/** A model's Markdown as nodes that can't do anything: through both walls, then dressed for reading. */

import { direct } from "./direction.js";
import { element } from "./element.js";
import { icon } from "./icons.js";
import { htmlOf, parse } from "./parser.js";
import { purifiedNodes } from "./walls.js";

/** Render a whole text. */
export function renderMarkdown(text) {
  const env = {};
  const nodes = nodesOf(parse(text, env));
  showReferences(nodes, env.notes ?? new Set(), true);
  return nodes;
}

/** The nodes of parsed tokens. */
export function nodesOf(tokens) {
  return dressed(purifiedNodes(htmlOf(tokens)));
}

/** Show those as footnotes that have a note; while a text grows, a number is taken for one. */
export function showReferences(root, notes, whole) {
  for (const reference of root.querySelectorAll(".note-reference")) {
    const label = reference.dataset.note;
    showReference(reference, label, notes.has(label) || (!whole && /^\d+$/.test(label)));
  }
}

/** Give code its head with the copy button, wide tables a box that scrolls, every block its direction. */
function dressed(fragment) {
  for (const pre of fragment.querySelectorAll("pre")) dressCode(pre);
  for (const item of fragment.querySelectorAll("li.task, li.task-done")) dressTask(item);
  for (const reference of fragment.querySelectorAll("sup.note-reference")) {
    reference.dataset.note = reference.textContent;
    showReference(reference, reference.textContent, true);
  }
  for (const note of fragment.querySelectorAll("div.note")) dressNote(note);
  direct(fragment);
  for (const table of fragment.querySelectorAll("table")) {
    const box = element("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table", dir: table.dir || null });
    table.replaceWith(box);
    box.append(table);
  }
  return fragment;
}

function dressCode(pre) {
  const language = /^language-(.+)$/.exec(pre.firstElementChild?.className ?? "")?.[1] ?? "";
  const copy = element("button", { type: "button", class: "copy-code", "aria-label": "Copy the code" }, icon("copy"), element("span", {}, "Copy"));
  const box = element("div", { class: "code" }, element("div", { class: "code-head" }, element("span", {}, language), copy));
  pre.replaceWith(box);
  pre.setAttribute("tabindex", "0"); // wide code scrolls: the keyboard must reach it
  box.append(pre);
}

function dressTask(item) {
  const done = item.className === "task-done";
  const box = element("span", { class: "box", role: "checkbox", "aria-checked": String(done), "aria-disabled": "true", "aria-label": done ? "Done" : "To do" });
  const words = item.firstElementChild?.localName === "p" ? item.firstElementChild : item;
  words.prepend(box);
}

function dressNote(note) {
  const mark = note.firstElementChild;
  const label = mark.textContent;
  note.dataset.note = label;
  mark.replaceChildren(element("button", { type: "button", class: "note-button", "data-action": "to-reference", "aria-label": `Footnote ${label}: back to the text` }, label));
}

function showReference(reference, label, isNote) {
  if (isNote === (reference.firstElementChild !== null)) return;
  if (!isNote) reference.textContent = `[^${label}]`;
  else reference.replaceChildren(element("button", { type: "button", class: "note-button", "data-action": "to-note", "aria-label": `Footnote ${label}` }, label));
}
