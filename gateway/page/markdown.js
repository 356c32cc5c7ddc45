/** Markdown for the page: a whole text, or one that grows. The two walls by themselves are for tests. */

import { htmlOf, parse } from "./parser.js";

export { GrowingMarkdown } from "./growing.js";
export { renderMarkdown } from "./nodes.js";
export { purifiedNodes } from "./walls.js";

/** The first wall by itself: Markdown -> HTML that holds only what Markdown can say. */
export function markedUp(text) {
  return htmlOf(parse(text));
}
