/**
 * Shows a formula's source as the formula: KaTeX, with its style and fonts, fetched with this file.
 *
 * KaTeX reads what a model wrote, so it may not trust it (no links, pictures or classes of the text's own), draws
 * no more than so much, and what it made passes the second wall. It is built node by node: styles that come as
 * attributes the content policy would refuse, and there are but three of them, of commands that do without.
 */

import { element } from "./element.js";
import { keepSource } from "./morph.js";
import katex from "./vendor/katex/katex.js";
import { purifyFormula } from "./walls.js";

const LIMITS = { trust: false, strict: "ignore", throwOnError: true, maxExpand: 500, maxSize: 20 };
const styled = new Promise((resolve) => {
  const href = new URL("vendor/katex/katex.css", import.meta.url).href;
  document.head.append(element("link", { rel: "stylesheet", href, onload: resolve, onerror: resolve }));
});

await styled;

/** Show the formula in `box`, which holds its source; what is no formula stays as it was written. */
export function typeset(box) {
  const source = box.textContent;
  keepSource(box, source);
  let tree;
  try {
    tree = katex.__renderToDomTree(source, { ...LIMITS, displayMode: box.className === "math-block" });
  } catch {
    return; // half of one, or none
  }
  withoutStyleAttributes(tree);
  const made = tree.toNode();
  purifyFormula(made);
  box.replaceChildren(made);
}

function withoutStyleAttributes(node) {
  if (node.attributes) delete node.attributes.style;
  for (const child of node.children ?? []) withoutStyleAttributes(child);
}
