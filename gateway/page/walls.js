/**
 * The second wall: any HTML -> nodes that can't do anything, by a short list of tags and attributes.
 *
 * It would be enough by itself; the first (parser.js) makes no tag of a model's text. What code and formulas are
 * dressed with comes from libraries that read a model's text, and passes lists of its own. (The page's content
 * policy, which allows no inline script and no other host, stands behind all of them.)
 */

import { SAFE_LINK } from "./parser.js";
import createPurifier from "./vendor/dompurify.js";

const NOTHING_ELSE = { ALLOW_ARIA_ATTR: false, ALLOW_DATA_ATTR: false };

const MARKDOWN = {
  ...NOTHING_ELSE,
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "span", "strong", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["class", "href", "rel", "start", "target", "title"],
  ALLOWED_URI_REGEXP: SAFE_LINK,
  ADD_URI_SAFE_ATTR: ["start"], // a number, and no address: it was held to that rule, and every list began with 1
  RETURN_DOM_FRAGMENT: true,
};
const MARKDOWN_CLASS = /^(?:language-[\w+#.-]{1,30}|align-(?:left|center|right)|picture|task|task-done|note|note-mark|note-reference|math|math-block|math-open)$/;

const CODE = { ...NOTHING_ELSE, ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true };
const CODE_CLASS = /^hljs-[\w-]{1,30}(?: [\w-]{1,30}){0,3}$/;

const FORMULA = {
  ...NOTHING_ELSE,
  ALLOWED_TAGS: [
    "span", "svg", "path", "line", "math", "semantics", "mrow", "mi", "mo", "mn", "ms", "mtext", "mspace", "msup", "msub", "msubsup", "mfrac", "msqrt", "mroot",
    "munder", "mover", "munderover", "mtable", "mtr", "mtd", "mlabeledtr", "mpadded", "mphantom", "mstyle", "menclose", "mprescripts", "mmultiscripts", "none", "annotation",
  ],
  ALLOWED_ATTR: [
    "class", "style", "d", "viewBox", "preserveAspectRatio", "width", "height", "x1", "x2", "y1", "y2", "stroke-width", "encoding", "display", "mathvariant",
    "stretchy", "fence", "separator", "symmetric", "lspace", "rspace", "minsize", "maxsize", "accent", "accentunder", "columnalign", "columnspacing", "columnlines",
    "rowspacing", "rowlines", "rowalign", "linethickness", "scriptlevel", "displaystyle", "notation", "voffset", "depth", "movablelimits", "mathcolor", "mathbackground", "mathsize", "largeop", "linebreak",
  ],
  IN_PLACE: true,
};
const FORMULA_CLASS = /^[\w -]{0,120}$/;
/** Sizes, places and colours of parts of a formula: nothing that fetches, and nothing that leaves its place. */
const FORMULA_STYLE = /^(?:\s*(?:height|width|min-width|vertical-align|top|bottom|left|margin-(?:left|right|top|bottom)|padding-left|border-(?:[a-z]+-)*width|border-(?:[a-z]+-)*style|border-(?:[a-z]+-)*color|border|color|background-color|text-shadow|position)\s*:\s*(?!fixed|absolute|sticky)[\w\s.%#,()-]*;)*\s*$/;

const markdown = purifierWith(MARKDOWN_CLASS);
markdown.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});
const code = purifierWith(CODE_CLASS);
const formula = purifierWith(FORMULA_CLASS, FORMULA_STYLE);

/** What Markdown can say. */
export function purifiedNodes(html) {
  return markdown.sanitize(html, MARKDOWN);
}

/** Coloured words of code. */
export function purifiedCode(html) {
  return code.sanitize(html, CODE);
}

/** A formula, in its place: its styles were set by script, which a content policy lets pass, and stay as they are. */
export function purifyFormula(element) {
  formula.sanitize(element, FORMULA);
}

function purifierWith(safeClass, safeStyle = null) {
  const purifier = createPurifier(window);
  purifier.addHook("uponSanitizeAttribute", (_node, attribute) => {
    const { attrName: name, attrValue: value } = attribute;
    if (name === "class" && !safeClass.test(value)) attribute.keepAttr = false;
    if (name === "style" && !(safeStyle?.test(value) && !/url\(|expression/i.test(value))) attribute.keepAttr = false;
  });
  return purifier;
}
