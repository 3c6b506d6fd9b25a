// Icons: strokes on a grid of 24, drawn in the colour of the text around them.

import type { VNode } from "preact";

const PATHS = {
  check: "M5 12.5l4.5 4.5L19 7.5",
  close: "M6 6l12 12 M18 6L6 18",
  copy: "M9 9h10v11H9z M15 9V4H5v11h4",
  down: "M12 5v14 M6 13l6 6 6-6",
  export: "M12 15V4 M7.5 8.5L12 4l4.5 4.5 M5 15v5h14v-5",
  help: "M9 9a3 3 0 1 1 4.2 2.7c-.8.4-1.2 1-1.2 1.8v.5 M12 17.5v.01",
  import: "M12 4v11 M7.5 10.5L12 15l4.5-4.5 M5 15v5h14v-5",
  left: "M14.5 6l-6 6 6 6",
  moon: "M19 14.5A8 8 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.5z",
  pencil: "M5 19l1-4L16 5l3 3L9 18z M14 7l3 3",
  plus: "M12 5v14 M5 12h14",
  redo: "M19 5v5h-5 M18.5 10A7 7 0 1 0 19 14",
  right: "M9.5 6l6 6-6 6",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13z M15.5 15.5L20 20",
  send: "M12 19V5 M6 11l6-6 6 6",
  settings: "M4 8h9 M19 8h1 M4 16h1 M11 16h9 M16 5.5v5 M8 13.5v5",
  side: "M4 5h16v14H4z M9.5 5v14",
  stop: "M7 7h10v10H7z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z M12 2.5v2 M12 19.5v2 M2.5 12h2 M19.5 12h2 M5.3 5.3l1.4 1.4 M17.3 17.3l1.4 1.4 M5.3 18.7l1.4-1.4 M17.3 6.7l1.4-1.4",
  tokens: "M4 18V9 M9 18V5 M14 18v-6 M19 18v-3",
  trash: "M5 7h14 M10 7V4h4v3 M7 7l1 13h8l1-13",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): VNode {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
