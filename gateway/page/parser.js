/**
 * A model's Markdown -> HTML that holds only what Markdown can say: the first of the two walls (markdown.js). Pure.
 *
 * markdown-it with `html` off: a tag in the text is text. Links go to http, https and mailto only; pictures are
 * links, because loading one would tell its server who reads.
 */

import { cjkEmphasis } from "./cjk_emphasis.js";
import { footnotes } from "./footnotes.js";
import { formulas } from "./formulas.js";
import { halfWritten, parseGrowing } from "./half_written.js";
import { taskLists } from "./task_lists.js";
import MarkdownIt from "./vendor/markdown-it.js";

export const SAFE_LINK = /^(?:https?:\/\/|mailto:)/i;

const markdown = createParser();

/** Give the tokens of a text. `env` collects what links and notes refer to; `growing`: more is going to come. */
export function parse(text, env = {}) {
  return env.growing ? parseGrowing(markdown, text, env) : markdown.parse(text, env);
}

/** Give the HTML of tokens. */
export function htmlOf(tokens) {
  return markdown.renderer.render(tokens, markdown.options, {});
}

/** Whether nothing is open at the end of these words, so that what comes does not change them. */
export function isClosed(words) {
  return parse(words, { growing: true }).at(-2)?.content === parse(words).at(-2)?.content;
}

function createParser() {
  const parser = new MarkdownIt({ html: false, linkify: true, breaks: true, typographer: false });
  // Names like main.py or README.md are no addresses: only what says http is one.
  parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
  parser.validateLink = (address) => SAFE_LINK.test(address.trim());
  for (const plugin of [cjkEmphasis, taskLists, footnotes, formulas, halfWritten]) parser.use(plugin);
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
