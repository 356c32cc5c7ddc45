/**
 * The message box: Enter sends, Shift+Enter breaks the line, Escape stops; it grows with what is written.
 *
 * A keyboard on the screen has no Shift+Enter: there Enter breaks the line, and the button sends.
 */

import { READ_ONLY } from "./words.js";

const CONTENT_MAX_BYTES = 32 * 1024;
const WARN_BYTES = 28 * 1024;
const ON_SCREEN = "(hover: none) and (pointer: coarse)";
const HINT = "Enter sends, Shift + Enter starts a new line, Esc stops the answer.";

const encoder = new TextEncoder();

export class Composer {
  #form;
  #input;
  #send;
  #stop;
  #hint;
  #onSend;
  #onText;
  #keyboard = window.matchMedia(ON_SCREEN);

  /** `onSend(content)` gives whether the message was taken; `onStop()` stops; `onText(text)`: it is another. */
  constructor({ form, input, send, stop, hint }, { onSend, onStop, onText }) {
    this.#form = form;
    this.#input = input;
    this.#send = send;
    this.#stop = stop;
    this.#hint = hint;
    this.#onSend = onSend;
    this.#onText = onText;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    form.addEventListener("click", ({ target }) => target === form && input.focus());
    input.addEventListener("input", () => this.#changed());
    input.addEventListener("keydown", (event) => this.#pressed(event));
    this.#keyboard.addEventListener("change", () => this.#nameEnter());
    this.#nameEnter();
    stop.addEventListener("click", () => {
      onStop();
      input.focus();
    });
  }

  get value() {
    return this.#input.value;
  }

  set value(text) {
    this.#input.value = text;
    this.#changed();
  }

  focus() {
    this.#input.focus();
  }

  /** Whether an answer runs that can be stopped. */
  set running(running) {
    this.#stop.hidden = !running;
    this.#input.placeholder = running ? "Write the next message" : "Message talklog";
  }

  /** Whether nothing may be written here: then words take the box's place. */
  set readOnly(readOnly) {
    if (this.#form.hidden === readOnly) return;
    this.#form.hidden = readOnly;
    this.#hint.classList.toggle("told", readOnly);
    if (readOnly) this.#hint.textContent = READ_ONLY;
    else this.#changed();
  }

  submit() {
    if (this.#send.disabled || !this.#onSend(this.#input.value)) return;
    this.value = "";
    this.focus();
  }

  #pressed(event) {
    if (this.#keyboard.matches && !event.ctrlKey && !event.metaKey) return;
    // While an input method composes a word, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.submit();
  }

  /** What a keyboard on the screen writes on its Enter key. */
  #nameEnter() {
    this.#input.enterKeyHint = this.#keyboard.matches ? "enter" : "send";
  }

  #changed() {
    const input = this.#input;
    this.#onText(input.value);
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
    const bytes = input.value.length * 3 < WARN_BYTES ? 0 : encoder.encode(input.value).length;
    const tooLong = bytes > CONTENT_MAX_BYTES;
    this.#send.disabled = input.value.trim() === "" || tooLong;
    this.#hint.textContent = bytes > WARN_BYTES ? `${(bytes / 1024).toFixed(1)} of 32 KiB${tooLong ? ": too long to send" : ""}` : HINT;
    this.#hint.classList.toggle("warning", tooLong);
  }
}
