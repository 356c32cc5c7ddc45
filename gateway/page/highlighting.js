/** Colours code: highlight.js (its common languages) says which words are what, the page's style which colour. */

import { keepSource } from "./morph.js";
import hljs from "./vendor/highlight.js";
import { purifiedCode } from "./walls.js";

/** Colour a `code` element, if its language is known. */
export function highlight(code) {
  const source = code.textContent;
  keepSource(code, source);
  const language = /^language-(.+)$/.exec(code.className)?.[1].toLowerCase();
  if (!language || !hljs.getLanguage(language)) return;
  const { value } = hljs.highlight(source, { language, ignoreIllegals: true });
  const nodes = purifiedCode(value);
  if (nodes.textContent === source) code.replaceChildren(nodes);
}
