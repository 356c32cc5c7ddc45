/** Put text on the clipboard, and say at the button that it worked. */

import { icon } from "./icons.js";

const SHOWN_MS = 1_600;

/** Whether it worked. Pages on plain http have no clipboard: there the old way does it. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return copied;
}

/** Change the button's face for a moment. */
export function showCopied(button, copied) {
  if (button.dataset.busy) return;
  button.dataset.busy = "true";
  const before = [...button.childNodes];
  const label = button.querySelector("span");
  const words = copied ? "Copied" : "Not copied";
  const face = label ? label.cloneNode() : null;
  if (face) face.textContent = words;
  button.replaceChildren(...[icon(copied ? "check" : "x"), face].filter(Boolean));
  setTimeout(() => {
    button.replaceChildren(...before);
    delete button.dataset.busy;
  }, SHOWN_MS);
}
