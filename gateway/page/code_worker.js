/**
 * Reads long code beside the page: highlight.js says which words are what, and that is cut where the page's pieces end.
 *
 * Asked {source, language, lengths: of the pieces, in characters}; says HTML for each, or null for a language it doesn't know.
 */

import hljs from "./vendor/highlight.js";

onmessage = ({ data: { source, language, lengths } }) => {
  const known = hljs.getLanguage(language) !== undefined;
  postMessage(known ? cutAt(hljs.highlight(source, { language, ignoreIllegals: true }).value, lengths) : null);
};

/** A span that goes on behind a cut is closed before it and opened again. */
function cutAt(html, lengths) {
  const pieces = [""];
  const open = [];
  let left = lengths[0];
  const add = (text) => (pieces[pieces.length - 1] += text);
  for (const [part] of html.matchAll(/<[^>]*>|&[^;]*;|[^<&]+/g)) {
    if (part.startsWith("<")) {
      add(part);
      if (part.startsWith("</")) open.pop();
      else open.push(part);
      continue;
    }
    for (let rest = part; rest !== ""; ) {
      if (left === 0) {
        add("</span>".repeat(open.length));
        pieces.push(open.join(""));
        left = lengths[pieces.length - 1];
      }
      const escaped = rest.startsWith("&"); // one letter
      const text = escaped ? rest : rest.slice(0, left);
      add(text);
      left -= escaped ? 1 : text.length;
      rest = rest.slice(text.length);
    }
  }
  return pieces;
}
