/**
 * A model's Markdown as nodes that can't do anything. Two walls, each of which would be enough:
 *
 * 1. markdown-it with `html` off: a tag in the text is text. Links go to http, https and mailto only;
 *    pictures are links, because loading one would tell its server who reads.
 * 2. DOMPurify over what it made: a short list of tags and attributes, everything else is dropped.
 *
 * (The page's content policy, which allows no inline script and no other host, stands behind both.)
 * Streaming: blocks that are finished stay as they are; only the last one is made anew.
 */

import { element } from "./element.js";
import { icon } from "./icons.js";
import createPurifier from "./vendor/dompurify.js";
import MarkdownIt from "./vendor/markdown-it.js";

const SAFE_LINK = /^(?:https?:\/\/|mailto:)/i;
const SAFE_CLASS = /^(?:language-[\w+#.-]{1,30}|align-(?:left|center|right)|picture)$/;

const markdown = createParser();
const purifier = createSanitizer();

const ALLOWED = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["class", "href", "rel", "start", "target", "title"],
  ALLOWED_URI_REGEXP: SAFE_LINK,
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

/** Render a whole text. */
export function renderMarkdown(text) {
  return nodesOf(markdown.parse(text, {}));
}

/** Renders a text that grows into a container, so that each step costs the last block, not the whole. */
export class GrowingMarkdown {
  #container;
  #settledText = ""; // its blocks are finished and stand in the container for good
  #settledNodes = 0;
  #lastFence = null; // the code element of a fence that is still being written, with its info line

  constructor(container) {
    this.#container = container;
  }

  /** Show what is written so far; cheap if it only became longer. */
  grow(written) {
    const text = written.includes("\r") ? written.replaceAll(/\r\n?/g, "\n") : written; // lines as the parser counts them
    if (!text.startsWith(this.#settledText)) this.#restart();
    const rest = text.slice(this.#settledText.length);
    const tokens = markdown.parse(rest, {});
    const last = lastBlock(tokens);
    if (this.#growFence(tokens, last)) return;
    this.#dropUnsettled();
    if (last.line > 0) {
      this.#container.append(nodesOf(tokens.slice(0, last.index)));
      this.#settledNodes = this.#container.childNodes.length;
      this.#settledText += rest.split("\n", last.line).join("\n") + "\n";
    }
    this.#showLast(tokens.slice(last.index));
  }

  /** Show the finished text, made in one piece (a link may be defined at the very end). */
  finish(text) {
    this.#restart();
    this.#container.append(renderMarkdown(text));
  }

  #showLast(tokens) {
    this.#container.append(nodesOf(tokens));
    const [token] = tokens;
    const code = token?.type === "fence" && tokens.length === 1 ? this.#container.lastElementChild?.querySelector("pre > code") : null;
    this.#lastFence = code ? { code, info: token.info } : null;
  }

  #growFence(tokens, last) {
    const [token] = tokens;
    const same = this.#lastFence !== null && last.index === 0 && tokens.length === 1 && token.type === "fence" && token.info === this.#lastFence.info;
    if (same) this.#lastFence.code.textContent = token.content;
    return same;
  }

  #dropUnsettled() {
    this.#lastFence = null;
    while (this.#container.childNodes.length > this.#settledNodes) this.#container.lastChild.remove();
  }

  #restart() {
    this.#settledText = "";
    this.#settledNodes = 0;
    this.#dropUnsettled();
  }
}

/** Where the last block begins, in tokens and in lines: everything before it will not change any more. */
function lastBlock(tokens) {
  for (let index = tokens.length - 1; index >= 0; index -= 1) {
    const { level, nesting, map } = tokens[index];
    if (level === 0 && nesting >= 0 && map) return { index, line: map[0] };
  }
  return { index: 0, line: 0 };
}

function nodesOf(tokens) {
  return dressed(purifiedNodes(markdown.renderer.render(tokens, markdown.options, {})));
}

/** The first wall by itself: Markdown -> HTML that holds only what Markdown can say. */
export function markedUp(text) {
  return markdown.render(text);
}

/** The second wall by itself: any HTML -> nodes that can't do anything. */
export function purifiedNodes(html) {
  return purifier.sanitize(html, ALLOWED);
}

/** Give code its head with the copy button, and wide tables a box that scrolls. */
function dressed(fragment) {
  for (const pre of fragment.querySelectorAll("pre")) {
    const language = /^language-(.+)$/.exec(pre.firstElementChild?.className ?? "")?.[1] ?? "";
    const copy = element("button", { type: "button", class: "copy-code", "aria-label": "Copy the code" }, icon("copy"), element("span", {}, "Copy"));
    const box = element("div", { class: "code" }, element("div", { class: "code-head" }, element("span", {}, language), copy));
    pre.replaceWith(box);
    pre.setAttribute("tabindex", "0"); // wide code scrolls: the keyboard must reach it
    box.append(pre);
  }
  for (const table of fragment.querySelectorAll("table")) {
    const box = element("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" });
    table.replaceWith(box);
    box.append(table);
  }
  return fragment;
}

function createParser() {
  const parser = new MarkdownIt({ html: false, linkify: true, breaks: true, typographer: false });
  // Names like main.py or README.md are no addresses: only what says http is one.
  parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
  parser.validateLink = (address) => SAFE_LINK.test(address.trim());
  const { escapeHtml } = parser.utils;
  parser.renderer.rules.image = (tokens, index) => {
    const source = tokens[index].attrGet("src") ?? "";
    return `<a class="picture" href="${escapeHtml(source)}">${escapeHtml(tokens[index].content || source)}</a>`;
  };
  // Alignment comes as a style attribute, which the content policy refuses: a class says the same.
  const aligned = (tokens, index, options, _env, renderer) => {
    const side = /text-align:(\w+)/.exec(tokens[index].attrGet("style") ?? "")?.[1];
    tokens[index].attrs = side ? [["class", `align-${side}`]] : null;
    return renderer.renderToken(tokens, index, options);
  };
  parser.renderer.rules.th_open = aligned;
  parser.renderer.rules.td_open = aligned;
  return parser;
}

function createSanitizer() {
  const sanitizer = createPurifier(window);
  sanitizer.addHook("uponSanitizeAttribute", (_node, attribute) => {
    if (attribute.attrName === "class" && !SAFE_CLASS.test(attribute.attrValue)) attribute.keepAttr = false;
  });
  sanitizer.addHook("afterSanitizeAttributes", (node) => {
    if (node.tagName !== "A") return;
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  });
  return sanitizer;
}
