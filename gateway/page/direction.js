/**
 * Which way a text runs, block by block: an Arabic paragraph below an English one begins on the right.
 *
 * The first letter of a block decides, as `dir="auto"` has it; but that passes over children which say it
 * themselves, and so finds nothing in a list or a quotation. Code and formulas run left to right wherever they
 * stand, and say nothing about the words around them.
 */

const BLOCKS = "p, h1, h2, h3, h4, h5, h6, li, ul, ol, blockquote, table, th, td, div.note";
const LEFT_TO_RIGHT = "code, pre, .math, .math-block, .math-open";
const DECIDES = /[\p{L}\u200e\u200f]/u;
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Samaritan}\p{Script=Mandaic}\p{Script=Adlam}\p{Script=Hanifi_Rohingya}\p{Script=Mende_Kikakui}\p{Script=Yezidi}\u200f]/u;

/** Say it of every block below `root`. One without letters goes with what is around it. */
export function direct(root) {
  for (const node of root.querySelectorAll(LEFT_TO_RIGHT)) node.setAttribute("dir", "ltr");
  for (const node of root.querySelectorAll(BLOCKS)) {
    const letter = firstLetter(node);
    if (letter) node.setAttribute("dir", directionOf(letter));
  }
}

/** "rtl" or "ltr": the way of the first letter in `text`. */
export function directionOf(text) {
  return RIGHT_TO_LEFT.test(DECIDES.exec(text)?.[0] ?? "") ? "rtl" : "ltr";
}

function firstLetter(node) {
  for (const child of node.childNodes) {
    const found = child.nodeType === Node.TEXT_NODE ? DECIDES.exec(child.data)?.[0] : child.matches?.(LEFT_TO_RIGHT) ? null : firstLetter(child);
    if (found) return found;
  }
  return null;
}
