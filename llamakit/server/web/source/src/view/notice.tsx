// A problem in words, with a button that does something about it.

import type { VNode } from "preact";
import type { Problem, Remedy } from "../api/problem.ts";
import { startChat } from "../chat/chats.ts";
import { focusComposer } from "./composer.tsx";
import { isSettingsOpen } from "./layout.ts";

const LABELS: Record<Remedy, string> = {
  retry: "Try again",
  settings: "Open settings",
  key: "Enter the key",
  "new chat": "New chat",
};

export function Notice({ problem, onRetry }: { problem: Problem; onRetry: () => void }): VNode {
  const { title, advice, remedy } = problem;
  const onClick = (): void => {
    if (remedy === "retry") onRetry();
    else if (remedy === "new chat") {
      startChat();
      setTimeout(focusComposer);
    } else {
      isSettingsOpen.value = true;
      if (remedy === "key") setTimeout(() => document.querySelector<HTMLInputElement>("#api-key")?.focus());
    }
  };
  return (
    <div class="notice" role="alert">
      <strong>{title}</strong>
      <p>{advice}</p>
      {remedy && (
        <button type="button" class="button" onClick={onClick}>
          {LABELS[remedy]}
        </button>
      )}
    </div>
  );
}
