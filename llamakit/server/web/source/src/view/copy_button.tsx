// A button that puts a text on the clipboard and says so.

import type { VNode } from "preact";
import { useState } from "preact/hooks";
import { announce } from "./announcer.tsx";
import { Icon } from "./icon.tsx";

const SAID_FOR_MS = 1500;

export function CopyButton({ text, label }: { text: string; label: string }): VNode {
  const [isDone, setDone] = useState(false);
  const onClick = async (): Promise<void> => {
    if (!(await copy(text))) return announce("Copying failed");
    setDone(true);
    announce("Copied");
    setTimeout(() => setDone(false), SAID_FOR_MS);
  };
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} onClick={onClick}>
      <Icon name={isDone ? "check" : "copy"} />
    </button>
  );
}

/** Over plain http there is no clipboard API, and the old command does it. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text, className: "away" });
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    return isDone;
  }
}
