// Which parts of the page are open, and whether it is narrow.

import { effect, signal } from "@preact/signals";
import { settings } from "../settings.ts";

const NARROW = matchMedia("(max-width: 860px)");
const COMPACT = matchMedia("(max-width: 1180px)");

export const isNarrow = signal(NARROW.matches);
/** Too narrow for two panels beside the conversation. */
export const isCompact = signal(COMPACT.matches);
export const isListOpen = signal(!NARROW.matches);
export const isSettingsOpen = signal(false);
export const isHelpOpen = signal(false);

NARROW.addEventListener("change", () => {
  isNarrow.value = NARROW.matches;
  isListOpen.value = !NARROW.matches;
});
COMPACT.addEventListener("change", () => {
  isCompact.value = COMPACT.matches;
});

effect(() => {
  const { theme } = settings.value;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
});

export function isDark(): boolean {
  const { theme } = settings.value;
  return theme === "auto" ? matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark";
}
