/* Light, dark or as the system has it. Not a module: it must run before the first paint. */
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("talklog.theme");
  } catch {
    // Storage is switched off: as the system has it.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
