/** Build an element: `element("p", {class: "note"}, "text", child)`. Text is always text, never HTML. */
export function element(tag, attributes = {}, ...children) {
  const built = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) built.addEventListener(name.slice(2), value);
    else if (value === true) built.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) built.setAttribute(name, value);
  }
  built.append(...children.filter((child) => child !== null && child !== undefined));
  return built;
}
