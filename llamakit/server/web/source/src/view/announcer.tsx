// What screen readers are told: short messages, and an answer sentence by sentence as it comes.

import { signal } from "@preact/signals";
import type { VNode } from "preact";

const said = signal("");

export function announce(text: string): void {
  said.value = said.value === text ? `${text}\u00a0` : text; // a change, so that it is read again
}

export function Announcer(): VNode {
  return (
    <div class="away" role="status" aria-live="polite">
      {said}
    </div>
  );
}

/** Whole sentences at the beginning of a text that grows; the rest waits. */
export function sentences(text: string): string {
  const end = text.search(/[.!?:\n][^.!?:\n]*$/);
  return end < 0 ? "" : text.slice(0, end + 1);
}
