/**
 * What `&auml;` stands for: every browser has that table itself, which would cost as much as a quarter of all that draws answers.
 *
 * The vendored markdown-it imports this in place of the package "entities"; it asks for one name at a time.
 */

const NAME = /^&[a-z][a-z0-9]*;$/i;
let inert = null; // a document's; made when it is first needed

/** Give the characters that `text` names, `&name;` as a whole; else the text as it is. */
export function decodeHTMLStrict(text) {
  if (!NAME.test(text)) return text;
  inert ??= document.createElement("template");
  inert.innerHTML = text;
  const decoded = inert.content.textContent;
  // `&ampersand;` is no name, but begins with one that old pages wrote without its end.
  return decoded.endsWith(";") && text !== "&semi;" ? text : decoded;
}
