/**
 * Make nodes like others without making them anew: what a reader has selected, focused or scrolled stays.
 *
 * Nodes are compared by their place; while a text grows only the last ones differ. Text that became longer is
 * appended to, so that a selection in it holds. What was dressed since (highlighted code, a formula, a button
 * that says "Copied") is left alone while what it was made of is the same.
 */

/**
 * Make what follows `after` in `parent` (all of it, if null) like `wanted`; give the nodes that stand there.
 *
 * What is left behind them is removed, unless `keepRest`; nodes from `until` on are not looked at.
 */
export function morph(parent, after, wanted, { keepRest = false, until = null } = {}) {
  let old = after ? after.nextSibling : parent.firstChild;
  const nodes = [];
  for (const node of [...wanted.childNodes]) {
    if (old !== until && alike(old, node)) {
      patch(old, node);
      nodes.push(old);
      old = old.nextSibling;
      continue;
    }
    parent.insertBefore(node, old);
    nodes.push(node);
    if (old !== until && !keepRest) old = removed(old);
  }
  while (old !== until && !keepRest) old = removed(old);
  return nodes;
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

/** Note what an element was made of, before it is dressed. */
export function keepSource(element, source) {
  element.madeOf = source;
}

function alike(old, node) {
  return old.nodeType === node.nodeType && old.nodeName === node.nodeName && (old.className ?? "") === (node.className ?? "");
}

function patch(old, node) {
  if (old.nodeType === Node.TEXT_NODE) patchText(old, node.data);
  if (old.nodeType !== Node.ELEMENT_NODE || old.localName === "button") return;
  patchAttributes(old, node);
  if (old.madeOf === undefined) morph(old, null, node);
  else if (old.madeOf !== node.textContent) {
    delete old.madeOf;
    old.replaceChildren(...node.childNodes);
  }
}

function patchText(old, data) {
  if (data === old.data) return;
  if (data.startsWith(old.data)) old.appendData(data.slice(old.data.length));
  else old.data = data;
}

function patchAttributes(old, node) {
  for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!node.hasAttribute(name)) old.removeAttribute(name);
}
