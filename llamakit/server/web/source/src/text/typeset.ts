// TeX to MathML by Temml; a file of its own, loaded when there is math.

import temml from "temml";

const MOST_EM = 40; // no rule or space is larger

/** Nodes of a formula, or its TeX as text. */
export function typeset(tex: string, isBlock: boolean): Node {
  const place = document.createElement("span");
  try {
    temml.render(tex, place, { displayMode: isBlock, trust: false, throwOnError: true, maxSize: [MOST_EM, MOST_EM] });
  } catch {
    return document.createTextNode(tex);
  }
  for (const node of place.querySelectorAll("[id], [href]")) {
    node.removeAttribute("id"); // a \label must not take the place of an element of the page
    node.removeAttribute("href");
  }
  return place;
}
