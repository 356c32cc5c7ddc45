/** The page's icons: strokes on a grid of 24, drawn in the colour of the text around them. */

const PATHS = {
  check: "M5 12.5l4.5 4.5L19 7.5",
  copy: "M9 9h10v11H9z M15 9V4H5v11h4",
  down: "M12 5v14 M6 13l6 6 6-6",
  edit: "M12 20h8 M4 20l.8-3.6L16.2 5a1.7 1.7 0 0 1 2.4 0l.4.4a1.7 1.7 0 0 1 0 2.4L7.6 19.2z",
  link: "M13 5h6v6 M19 5l-9 9 M10 6H5v13h13v-5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  retry: "M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.4 M20 4.5v5h-5",
  sidebar: "M4 5h16v14H4z M9.5 5v14",
  stop: "M7.5 7.5h9v9h-9z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z M12 2.5v2 M12 19.5v2 M2.5 12h2 M19.5 12h2 M5.3 5.3l1.4 1.4 M17.3 17.3l1.4 1.4 M5.3 18.7l1.4-1.4 M17.3 6.7l1.4-1.4",
  system: "M4 5h16v11H4z M9 20h6 M12 16v4",
  up: "M12 19V5 M6 11l6-6 6 6",
  x: "M6 6l12 12 M18 6L6 18",
};

const SVG = "http://www.w3.org/2000/svg";

/** Give the icon of this name as an element that says nothing to a screen reader. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Put the icon that `data-icon` names in front of what the element holds. */
export function drawIcons(root) {
  for (const element of root.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));
}
