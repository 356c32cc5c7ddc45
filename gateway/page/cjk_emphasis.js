/**
 * Emphasis beside Chinese, Japanese and Korean. Pure.
 *
 * CommonMark lets `**` close only where a Latin writer would close it: `**「重要」**な` stays asterisks, because a
 * mark of punctuation stands before them and a letter behind. These scripts put no spaces between words, so here
 * their punctuation counts as letters do, and a neighbour of theirs as a space does. The rule is that of
 * https://github.com/tats-u/markdown-cjk-friendly (its specification), for markdown-it's `scanDelims`.
 */

const CJK = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\u3000-\u303f\u30fb\u30fc\ufe30-\ufe4f\uff00-\uffef]/u;
const UNDERSCORE = 0x5f;

/** Let a markdown-it parser read emphasis so. */
export function cjkEmphasis(parser) {
  const { isMdAsciiPunct, isPunctChar, isWhiteSpace } = parser.utils;
  const isPunctuation = (letter) => !CJK.test(letter) && (isMdAsciiPunct(letter.codePointAt(0)) || isPunctChar(letter));
  const isSpace = (letter) => isWhiteSpace(letter.codePointAt(0));

  parser.inline.State = class extends parser.inline.State {
    scanDelims(start, canSplitWord) {
      const plain = super.scanDelims(start, canSplitWord);
      const [before, behind] = [letterBefore(this.src, start), letterAt(this.src, start + plain.length, this.posMax)];
      if (!CJK.test(before) && !CJK.test(behind)) return plain;
      if (this.src.charCodeAt(start) === UNDERSCORE) return plain; // it never splits a word
      const left = !isSpace(behind) && (!isPunctuation(behind) || isSpace(before) || isPunctuation(before) || CJK.test(before));
      const right = !isSpace(before) && (!isPunctuation(before) || isSpace(behind) || isPunctuation(behind) || CJK.test(behind));
      return { can_open: left, can_close: right, length: plain.length };
    }
  };
}

function letterBefore(text, place) {
  if (place === 0) return " ";
  const tail = text.slice(Math.max(0, place - 3), place);
  // A variation selector belongs to the letter before it.
  return [...tail].filter((letter) => !/[\ufe00-\ufe0f]/.test(letter)).at(-1) ?? " ";
}

function letterAt(text, place, end) {
  return place < end ? String.fromCodePoint(text.codePointAt(place)) : " ";
}
