/** The theme button: as the system has it, light, dark, and round again. */

import { icon } from "./icons.js";

const KEY = "talklog.theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const FACES = { system: ["system", "Theme: as the system"], light: ["sun", "Theme: light"], dark: ["moon", "Theme: dark"] };

export class ThemeButton {
  #button;
  #storage;

  constructor(button, storage) {
    this.#button = button;
    this.#storage = storage;
    button.addEventListener("click", () => this.#choose(NEXT[this.#theme]));
    this.#draw();
  }

  get #theme() {
    return document.documentElement.dataset.theme ?? "system";
  }

  #choose(theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      this.#storage?.setItem(KEY, theme);
    } catch {
      // Storage is full or switched off: it holds until the page is closed.
    }
    this.#draw();
  }

  #draw() {
    const [name, label] = FACES[this.#theme];
    this.#button.replaceChildren(icon(name));
    this.#button.setAttribute("aria-label", label);
    this.#button.title = label;
  }
}
